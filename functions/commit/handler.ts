import { ConditionFailedError, FlexCacheError } from '#core/errors.ts';
import type {
  Admission,
  Entry,
  GenerationRequest,
  GenerationResult,
  Job,
  JobResult,
  Plan,
  ReplacedWork,
  UsageRecord,
} from '#core/generation.ts';
import { exactKey, promptKey } from '#core/identity.ts';
import { generationWork } from '#core/ledger.ts';
import { removeEntry, type RemovalStores } from '#stores/remove-entry.ts';
import { DynamoRetentionTable } from '#stores/dynamo-retention-table.ts';
import { usageName } from '#stores/table-items.ts';
import { vectorRecordsOf } from '#stores/vector-records.ts';
import { ENVIRONMENT } from '../environment.ts';
import { deployedEvictSettings } from '../evict/deployed-evict-settings.ts';
import {
  deployedModel,
  deployedVectors,
  lazily,
  reuseRules,
  variable,
  type Services,
} from '../services.ts';
import type { CommitInput } from '../states.ts';
import { deployedEnding } from '../deployed-ending.ts';
import { endJob, leasesOf, releaseDonors, type EndingServices } from '../end-job.ts';
import { requireJob } from '../require-job.ts';
import { ofAttempt, StepMeter } from '../step-meter.ts';
import { namingErrors } from '../task-error.ts';
import { admissionRule, type AdmissionRule } from './admission.ts';
import { observed } from '../telemetry.ts';

type CommitServices = Pick<Services, 'vectors' | 'compatibilityKey'> &
  EndingServices & {
    /** Every entry is stored unless given. */
    addsLittle?: AdmissionRule;
  };

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
  return namingErrors((input) =>
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
  await endJob(services, completed, { leases: leased });
  return { videoId, result };
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

async function storeOutcome(
  services: CommitServices,
  input: CommitInput,
  work: ReplacedWork | null,
): Promise<Omit<JobResult, 'seconds' | 'fullSteps'>> {
  const { request, lookup, generation } = input;
  if (generation === undefined) {
    const entry = await requireExactEntry(services, lookup.plan);
    if (entry.entryId === request.videoId) {
      // Our own earlier run stopped after its entry; its vectors may be missing.
      await services.vectors.put(vectorRecordsOf(entry));
    }
    return { ...exactOutcome(entry), admission: exactAdmission(entry, request) };
  }
  const admission = await admit(services, input, generation, work);
  return { ...generatedOutcome(generation), admission };
}

/**
 * Stores what a generation leaves behind, unless its cache mode forbids it or it adds too little. The
 * latent of a video that is refused stays to the sweep: nothing is named that might be deleted.
 */
async function admit(
  services: CommitServices,
  input: CommitInput,
  generation: GenerationResult,
  work: ReplacedWork | null,
): Promise<Admission> {
  const { table, addsLittle } = services;
  const donors = await Promise.all(generation.donors.map(({ entryId }) => table.getEntry(entryId)));
  const made = entryOf(services, input, generation, work, donors);
  if (made === null) return { stored: false, reason: 'cache_mode' };
  const { fullSteps } = input.lookup.plan;
  const question = { made, donors, isWhole: generation.hit === 'whole', fullSteps };
  // What an earlier run has stored, stays.
  if ((await addsLittle?.(question)) && (await table.getEntry(made.entryId)) === null) {
    return { stored: false, reason: 'adds_little' };
  }
  await store(services, made);
  return { stored: true };
}

/** What earlier workers of the video did was no waiting. */
function workerSeconds(
  generation: GenerationResult | undefined,
  work: ReplacedWork | null,
): Pick<JobResult['seconds'], 'queue' | 'generate'> {
  const { queue, generate } = generation?.seconds ?? { queue: 0, generate: 0 };
  const earlier = Math.max(0, (work?.gpuSeconds ?? 0) - (generation?.usage.gpuSeconds ?? 0));
  return { queue: Math.max(0, queue - earlier), generate: generate + earlier };
}

async function requireExactEntry({ table }: CommitServices, plan: Plan): Promise<Entry> {
  const entry = plan.exactVideoId === null ? null : await table.getEntry(plan.exactVideoId);
  // Of a tombstone nothing is left, its video neither where its job was deleted.
  if (entry !== null && entry.state !== 'TOMBSTONE') return entry;
  throw new FlexCacheError(
    'not_found',
    `the video ${plan.exactVideoId} that answers this request is gone from the cache`,
    { fix: 'submit the request again' },
  );
}

/** The entry that a generation leaves behind; null when its cache mode forbids it. */
function entryOf(
  { compatibilityKey }: CommitServices,
  { request, embed, lookup }: CommitInput,
  generation: GenerationResult,
  work: ReplacedWork | null,
  donors: readonly (Entry | null)[],
): Entry | null {
  const { latentKey, latentSha256, vectors } = generation;
  const { prompt, seed, steps, tenant, scope, remixOf, cache } = request;
  if (cache === 'off' || cache === 'readonly') return null;
  if (latentKey === null || latentSha256 === null || vectors.whole === null) return null;
  const partition = { compatibilityKey, scope, tenant };
  return {
    entryId: request.videoId,
    state: 'READY',
    ...partition,
    exactKey: exactKey({ prompt, seed, steps, remixOf, ...partition }),
    promptKey: promptKey({ prompt, ...partition }),
    prompt,
    objectPhrase: embed.embedding.objectPhrase,
    backgroundPhrase: embed.embedding.backgroundPhrase,
    seed,
    latentKey,
    latentBytes: generation.latentBytes,
    latentSha256,
    videoKey: generation.videoKey,
    posterKey: generation.posterKey,
    animationKey: generation.animationKey,
    spritesheetKey: generation.spritesheetKey,
    videoBytes: generation.videoBytes,
    vectors: { ...vectors, whole: vectors.whole },
    generation:
      donors.length === 0 ? 0 : 1 + Math.max(...donors.map((donor) => donor?.generation ?? 0)),
    hits: 0,
    ...(lookup.neighbours !== undefined && { neighbours: lookup.neighbours }),
    createdAt: new Date().toISOString(),
    gpuSeconds: work?.gpuSeconds ?? 0,
    ...(work?.denoiseSeconds !== undefined && { denoiseSeconds: work.denoiseSeconds }),
    stepsRun: generation.stepsRun,
  };
}

async function store({ table, vectors }: CommitServices, made: Entry): Promise<void> {
  // An earlier run may have left an entry with another latent: its vectors belong in the index.
  const entry = (await table.putEntry(made)) ? made : await table.getEntry(made.entryId);
  if (entry?.state === 'READY') await vectors.put(vectorRecordsOf(entry));
}

/** Our own earlier run may have stored the very entry that answers now. */
function exactAdmission({ entryId }: Entry, { videoId }: GenerationRequest): Admission {
  return entryId === videoId ? { stored: true } : { stored: false, reason: 'exact_hit' };
}

function exactOutcome(entry: Entry): Omit<JobResult, 'seconds' | 'fullSteps'> {
  const { entryId, latentKey, videoKey, posterKey, animationKey, spritesheetKey } = entry;
  return {
    hit: 'exact',
    donors: [{ entryId, part: 'whole', similarity: 1, latentKey }],
    startTime: 0,
    stepsRun: 0,
    videoKey,
    posterKey,
    animationKey,
    spritesheetKey,
    videoBytes: entry.videoBytes,
    latentBytes: entry.latentBytes,
    replaced: {
      gpuSeconds: entry.gpuSeconds,
      ...(entry.denoiseSeconds !== undefined && { denoiseSeconds: entry.denoiseSeconds }),
      networkEvaluations: entry.stepsRun,
    },
  };
}

function generatedOutcome(made: GenerationResult): Omit<JobResult, 'seconds' | 'fullSteps'> {
  const { hit, donors, startTime, stepsRun } = made;
  const { videoKey, posterKey, animationKey, spritesheetKey, videoBytes, latentBytes } = made;
  return {
    hit,
    donors,
    startTime,
    stepsRun,
    videoKey,
    posterKey,
    animationKey,
    spritesheetKey,
    videoBytes,
    latentBytes,
  };
}

export const handler = lazily(async () => {
  const modelPackage = await deployedModel();
  const ending = deployedEnding(modelPackage);
  const { compatibilityKey } = reuseRules(modelPackage);
  const services = {
    ...ending,
    vectors: deployedVectors(),
    compatibilityKey,
    addsLittle: admissionRule({
      retention: new DynamoRetentionTable({ tableName: variable(ENVIRONMENT.tableName) }),
      settings: deployedEvictSettings(),
    }),
  };
  return observed('commit', ending.telemetry, createCommitHandler(services));
});
