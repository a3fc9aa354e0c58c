import { FlexCacheError } from '#core/errors.ts';
import type {
  Admission,
  Entry,
  GenerationRequest,
  GenerationResult,
  JobResult,
  Plan,
} from '#core/generation.ts';
import { exactKey, promptKey } from '#core/identity.ts';
import { vectorRecordsOf } from '#stores/vector-records.ts';
import {
  deployedJobEnd,
  deployedModel,
  deployedTable,
  deployedVectors,
  lazily,
  reuseRules,
  type Services,
} from '../services.ts';
import type { CommitInput } from '../states.ts';
import { deployedEnding } from '../deployed-ending.ts';
import { endJob, leasedFor, type EndJobServices } from '../end-job.ts';
import { requireJob } from '../require-job.ts';
import { entryUnits, ofAttempt, StepMeter } from '../step-meter.ts';
import { namingErrors } from '../task-error.ts';

type CommitServices = Pick<Services, 'table' | 'vectors' | 'compatibilityKey'> & EndJobServices;

export interface CommitOutput {
  videoId: string;
  result: JobResult;
}

/** Embed, Lookup, IsExact, Commit; and Generate unless the hit is exact. */
const TRANSITIONS = { exact: 4, generated: 5 };

/** `recordUsage` four times, `completeJob`; the job is read before and after. */
const JOB_WRITE_UNITS = 5;
const JOB_READ_UNITS = 2;

/**
 * Makes a finished video visible: entry -> vectors -> job, then what follows the end of a job. Each
 * write may be repeated, so a run that stops anywhere is finished by the next.
 *
 * @throws FlexCacheError `cancelled` when the job was, and nothing is stored.
 */
export function createCommitHandler(
  services: CommitServices,
): (input: CommitInput) => Promise<CommitOutput> {
  return namingErrors(async (input) => {
    const meter = new StepMeter('commit');
    const { request, embed, lookup, generation } = input;
    const { table } = services;
    const { videoId } = request;
    const donorIds = leasedFor(lookup.plan);

    const job = await requireJob(services, videoId);
    if (job.status === 'completed') {
      // An earlier run stopped after its last write: the ledger is closed.
      await endJob(services, job, { donorIds });
      return { videoId, result: job.result! };
    }
    if (job.cancelRequested) {
      throw new FlexCacheError(
        'cancelled',
        'the request was cancelled before its video was stored',
      );
    }
    const units = entryUnits(embed.embedding.vectors.whole.length);

    let outcome: Omit<JobResult, 'seconds' | 'fullSteps'>;
    const stored = { tableReadUnits: 0, tableWriteUnits: 0, vectorPuts: 0 };
    if (generation === undefined) {
      const entry = await requireExactEntry(services, lookup.plan);
      stored.tableReadUnits += units.read;
      if (entry.entryId === request.videoId) {
        // Our own earlier run stopped after its entry; its vectors may be missing.
        await services.vectors.put(vectorRecordsOf(entry));
      }
      outcome = { ...exactOutcome(entry), admission: exactAdmission(entry, request) };
    } else {
      const entry = await entryOf(services, input, generation);
      stored.tableReadUnits += generation.donors.length * units.read;
      if (entry !== null) {
        stored.tableWriteUnits += units.write;
        stored.vectorPuts = await store(services, entry);
      }
      const admission: Admission =
        entry === null ? { stored: false, reason: 'cache_mode' } : { stored: true };
      outcome = { ...generatedOutcome(generation), admission };
    }

    const { queue, generate } = generation?.seconds ?? { queue: 0, generate: 0 };
    const usage = meter.usage({
      ...stored,
      tableReadUnits: stored.tableReadUnits + JOB_READ_UNITS,
      tableWriteUnits: stored.tableWriteUnits + JOB_WRITE_UNITS,
      stateTransitions: generation === undefined ? TRANSITIONS.exact : TRANSITIONS.generated,
    });
    for (const record of [embed.usage, lookup.usage, generation?.usage, usage]) {
      if (record !== undefined) await table.recordUsage(videoId, ofAttempt(record, job.attempt));
    }
    const result: JobResult = {
      ...outcome,
      fullSteps: lookup.plan.fullSteps,
      seconds: {
        embed: embed.seconds,
        lookup: lookup.seconds,
        queue,
        generate,
        commit: meter.seconds,
        total: (Date.now() - embed.startedAt) / 1000,
      },
    };
    await table.completeJob(videoId, result);
    await endJob(services, await requireJob(services, videoId), { donorIds });
    return { videoId, result };
  });
}

async function requireExactEntry({ table }: CommitServices, plan: Plan): Promise<Entry> {
  const entry = plan.exactVideoId === null ? null : await table.getEntry(plan.exactVideoId);
  if (entry !== null) return entry;
  throw new FlexCacheError(
    'not_found',
    `the video ${plan.exactVideoId} that answers this request is gone from the cache`,
    { fix: 'submit the request again' },
  );
}

/** The entry that a generation leaves behind; null when its cache mode forbids it. */
async function entryOf(
  { table, compatibilityKey }: CommitServices,
  { request, embed, lookup }: CommitInput,
  generation: GenerationResult,
): Promise<Entry | null> {
  const { latentKey, latentSha256, vectors } = generation;
  const { prompt, seed, steps, tenant, scope, remixOf, cache } = request;
  if (cache === 'off' || cache === 'readonly') return null;
  if (latentKey === null || latentSha256 === null || vectors.whole === null) return null;
  const partition = { compatibilityKey, scope, tenant };
  const donors = await Promise.all(generation.donors.map(({ entryId }) => table.getEntry(entryId)));
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
    gpuSeconds: generation.usage.gpuSeconds ?? 0,
    ...(generation.usage.denoiseSeconds !== undefined && {
      denoiseSeconds: generation.usage.denoiseSeconds,
    }),
    stepsRun: generation.stepsRun,
  };
}

/** Returns how many vectors were put. */
async function store({ table, vectors }: CommitServices, made: Entry): Promise<number> {
  // An earlier run may have left an entry with another latent: its vectors belong in the index.
  const entry = (await table.putEntry(made)) ? made : await table.getEntry(made.entryId);
  if (entry?.state !== 'READY') return 0;
  const records = vectorRecordsOf(entry);
  await vectors.put(records);
  return records.length;
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
  const services = {
    table: deployedTable(),
    vectors: deployedVectors(),
    compatibilityKey: reuseRules(modelPackage).compatibilityKey,
    ...deployedJobEnd(),
  };
  return deployedEnding('commit', services, modelPackage, createCommitHandler(services));
});
