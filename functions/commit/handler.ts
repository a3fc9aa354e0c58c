import { ConditionFailedError, FlexCacheError } from '#core/errors.ts';
import type {
  GenerationResult,
  Job,
  JobResult,
  ReplacedWork,
  UsageRecord,
} from '#core/generation.ts';
import { generationWork } from '#core/costs/ledger.ts';
import { removeEntry, type RemovalStores } from '#ports/remove-entry.ts';
import { DynamoRetentionTable } from '#aws/dynamo-retention-table.ts';
import { usageName } from '#aws/table-items.ts';
import { ENVIRONMENT } from '../shared/environment.ts';
import { deployedEvictSettings } from '../shared/deployed-evict-settings.ts';
import {
  deployedModel,
  deployedPace,
  deployedVectors,
  lazily,
  packageKey,
  variable,
  type Services,
} from '../shared/services.ts';
import type { CommitInput } from '../shared/states.ts';
import { deployedEnding } from '../shared/deployed-ending.ts';
import { endJob, leasesOf, releaseDonors, type EndingServices } from '../shared/end-job.ts';
import { requireJob } from '../shared/require-job.ts';
import { ofAttempt, StepMeter } from '../shared/step-meter.ts';
import { withTaskErrors } from '../shared/task-error.ts';
import { admissionRule } from './cache-admission.ts';
import { storeOutcome, type StoringServices } from '../shared/store-outcome.ts';
import { observed } from '../shared/telemetry.ts';

type CommitServices = StoringServices & EndingServices & Partial<Pick<Services, 'pace'>>;

export interface CommitOutput {
  videoId: string;
  result: JobResult;
}

/**
 * Makes a finished video visible: entry -> vectors -> job, then what follows the end of a job. Each
 * write may be repeated, so a run that stops anywhere is finished by the next.
 *
 * The ledger closes with the write that completes the job; that write and what follows it are in none.
 *
 * @throws FlexCacheError `cancelled` when the job was, and nothing is stored.
 */
export function createCommitHandler(
  services: CommitServices,
): (input: CommitInput) => Promise<CommitOutput> {
  return withTaskErrors((input) =>
    StepMeter.run('commit', services, input.request.videoId, (meter) =>
      commit(services, input, meter),
    ),
  );
}

async function commit(
  services: CommitServices,
  input: CommitInput,
  meter: StepMeter,
): Promise<CommitOutput> {
  const { request, embed, lookup, generation } = input;
  const { videoId } = request;
  const leases = leasesOf(videoId, lookup);

  const job = await requireJob(services, videoId);
  if (job.status === 'completed') {
    // An earlier run stopped after its last write: the ledger is closed.
    await endJob(services, job, { leases });
    return { videoId, result: job.result! };
  }
  if ((lookup.attempt ?? 1) < job.attempt) {
    throw new FlexCacheError(
      'condition_failed',
      `attempt ${lookup.attempt ?? 1} at the video has ended: attempt ${job.attempt} is under way`,
    );
  }
  meter.attempt = job.attempt;
  if (job.cancelRequested) {
    throw new FlexCacheError('cancelled', 'the request was cancelled before its video was stored');
  }
  const made: UsageRecord[] = [embed.usage, lookup.usage, generation?.usage].flatMap((record) =>
    record === undefined ? [] : [ofAttempt(record, job.attempt)],
  );
  const continues = made.flatMap(({ run }) => run ?? []);
  const work = generationWork({
    attempt: job.attempt,
    usage: [...withoutRewritten(job.usage, made), ...made, { step: 'commit', continues }],
  });
  const outcome = await storeOutcome(services, input, work);
  const leased = await releaseDonors(services, leases);
  const result: JobResult = {
    ...outcome,
    fullSteps: lookup.plan.fullSteps,
    seconds: {
      embed: embed.seconds,
      lookup: lookup.seconds,
      ...workerSeconds(generation, work),
      commit: meter.seconds,
      total: (Date.now() - embed.startedAt) / 1000,
    },
  };
  const usage = meter.usage(continues.length > 0 ? { continues } : {});
  const completed = await complete(services, videoId, result, [...made, usage]);
  meter.close();
  services.reportEnd?.(completed);
  if (generation !== undefined) await recordPace(services, request, result.seconds.generate);
  await endJob(services, completed, { leases: leased });
  return { videoId, result };
}

/** An average that misses a video is not worth one. */
async function recordPace(
  { pace, telemetry }: CommitServices,
  { pool, videoId }: CommitInput['request'],
  seconds: number,
): Promise<void> {
  try {
    await pace?.record(pool, seconds);
  } catch (error) {
    telemetry?.log({ level: 'warn', event: 'pace_not_recorded', videoId, error });
  }
}

/**
 * @throws ConditionFailedError when the job was ended otherwise since we looked; then nothing of it
 * stays in the cache.
 */
async function complete(
  { table, vectors }: CommitServices,
  videoId: string,
  result: JobResult,
  usage: UsageRecord[],
): Promise<Job> {
  try {
    return await table.completeJob(videoId, result, usage);
  } catch (conflict) {
    if (!(conflict instanceof ConditionFailedError)) throw conflict;
    if (result.hit !== 'exact') await takeBack({ table, vectors }, videoId);
    throw conflict;
  }
}

/** Whoever reads the entry already may do so to the end. */
async function takeBack(stores: RemovalStores, videoId: string): Promise<void> {
  try {
    await removeEntry(stores, videoId);
  } catch (inUse) {
    if (!(inUse instanceof ConditionFailedError)) throw inUse;
  }
}

/** The records of a ledger but for those that these stand for by now. */
function withoutRewritten(
  ledger: readonly UsageRecord[],
  rewritten: readonly UsageRecord[],
): UsageRecord[] {
  const names = new Set(rewritten.map(usageName));
  return ledger.filter((record) => !names.has(usageName(record)));
}

/** What earlier workers of the video did was no waiting. */
function workerSeconds(
  generation: GenerationResult | undefined,
  work: ReplacedWork | null,
): Pick<JobResult['seconds'], 'queue' | 'generate'> {
  if (generation === undefined) return { queue: 0, generate: 0 };
  const { queue, generate } = generation.seconds;
  const total = work?.gpuSeconds ?? generate;
  return { queue: Math.max(0, queue - (total - generate)), generate: total };
}

export const handler = lazily(async () => {
  const modelPackage = await deployedModel();
  const ending = deployedEnding(modelPackage);
  const services = {
    ...ending,
    vectors: deployedVectors(),
    pace: deployedPace(),
    compatibilityKey: packageKey(modelPackage),
    addsLittle: admissionRule({
      retention: new DynamoRetentionTable({ tableName: variable(ENVIRONMENT.tableName) }),
      settings: deployedEvictSettings(),
    }),
  };
  return observed('commit', ending.telemetry, createCommitHandler(services));
});
