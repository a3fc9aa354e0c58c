import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Backfill, BackfillLine } from '#core/requests/backfill.ts';
import { FlexCacheError, ObjectMissingError } from '#core/errors.ts';
import type { Entry, HitKind, Job, JobResult } from '#core/generation.ts';
import { randomVideoId, videoIdForKey } from '#core/requests/identity.ts';
import { promptWarnings } from '#core/requests/prompt-warnings.ts';
import { validatePrompt } from '#core/requests/prompt.ts';
import type { SubmitInput } from '#functions/shared/backfill-states.ts';
import { createCloseHandler } from '#functions/close/handler.ts';
import { createPrepareHandler } from '#functions/prepare/handler.ts';
import { createSubmitHandler } from '#functions/submit/handler.ts';
import { DEFAULT_TENANT } from '#local/default-tenant.ts';
import { EmbeddedBackfills } from '#local/embedded-backfills.ts';
import type {
  EmbeddedCloud,
  EmbeddedCloudOptions,
  GenerateInput,
  Progress,
} from '#local/embedded-cloud.ts';
import type { BackfillTable } from '#ports/backfills.ts';
import type { ExternalObjects } from '#aws/external-objects.ts';
import type { ObjectStore } from '#ports/objects.ts';
import type { Table } from '#ports/table.ts';
import type { TenantTable } from '#ports/tenants.ts';
import type { VectorIndex } from '#ports/vector-index.ts';
import { SAMPLE_CAPABILITIES, SAMPLE_FACTS } from '../aws/samples.ts';

const DEFINITION = JSON.parse(
  readFileSync(new URL('../../local/backfill.asl.json', import.meta.url), 'utf8'),
) as object;

const FULL_STEPS = 12;

interface FakeState {
  jobs: Record<string, Job>;
  entries: Record<string, Entry>;
  vectors: string[];
  /** Base64 by key. */
  objects: Record<string, string>;
  backfills: Record<string, Backfill>;
  lines: Record<string, BackfillLine>;
}

export interface FakeOptions {
  /** Bytes of every video; any bytes do where nobody plays them. */
  mp4?: Uint8Array;
  webp?: Uint8Array;
  png?: Uint8Array;
  /** Seeds whose videos fail. */
  failingSeeds?: readonly number[];
  /** How long one video takes. */
  milliseconds?: number;
}

/**
 * The embedded cloud without engine and model: same promises, made-up videos. Every second video
 * claims the one before it as its donor. State is kept in one JSON file of the state folder, so that
 * a second process finds what the first has left. A prompt with the word "explode" fails.
 */
export async function openFakeCloud(
  { stateDirectory }: EmbeddedCloudOptions,
  options: FakeOptions = {},
): Promise<FakeCloud> {
  return new FakeCloud(stateDirectory, options);
}

export class FakeCloud implements EmbeddedCloud {
  readonly stateDirectory: string;
  readonly modelRevision = 'fake-revision';
  readonly facts = SAMPLE_FACTS;
  readonly deliveries = { record: async () => {} };
  readonly compatibilityKey = 'fake-key';
  /** The command does without these. */
  readonly manifest = { files: { segmenter: [] as object } } as EmbeddedCloud['manifest'];
  readonly workflow = {} as EmbeddedCloud['workflow'];
  readonly retention = {} as EmbeddedCloud['retention'];
  readonly backfills: EmbeddedBackfills;
  readonly inputs: GenerateInput[] = [];
  readonly deletions: string[] = [];
  readonly #path: string;
  readonly #options: FakeOptions;
  readonly #state: FakeState;
  readonly #cancelled = new Set<string>();
  /** Idempotency keys of the lines that were submitted, by video id. */
  readonly #lineKeys = new Map<string, string>();

  constructor(stateDirectory: string, options: FakeOptions = {}) {
    mkdirSync(stateDirectory, { recursive: true });
    this.stateDirectory = stateDirectory;
    this.#options = options;
    this.#path = join(stateDirectory, 'fake.json');
    this.#state = existsSync(this.#path)
      ? (JSON.parse(readFileSync(this.#path, 'utf8')) as FakeState)
      : { jobs: {}, entries: {}, vectors: [], objects: {}, backfills: {}, lines: {} };
    this.backfills = this.#openBackfills();
  }

  get videosMade(): number {
    return Object.keys(this.#state.jobs).length;
  }

  async generate(input: GenerateInput, onProgress?: (progress: Progress) => void): Promise<Job> {
    const prompt = validatePrompt(input.prompt);
    this.inputs.push(input);
    const videoId =
      input.idempotencyKey === undefined
        ? randomVideoId()
        : videoIdForKey(DEFAULT_TENANT, input.idempotencyKey);
    const known = this.#state.jobs[videoId];
    if (known?.status === 'completed') return known;
    onProgress?.({ videoId, stage: 'generate', percent: 50 });
    const createdAt = new Date().toISOString();
    await sleep(this.#options.milliseconds ?? 2);
    if (prompt.includes('catastrophe')) {
      throw new FlexCacheError('disk_full', 'no space left', { fix: 'free some space' });
    }
    const job: Job = {
      videoId,
      tenant: DEFAULT_TENANT,
      prompt,
      seed: input.seed ?? 0,
      cache: input.cache ?? 'auto',
      steps: input.steps ?? FULL_STEPS,
      scope: 'tenant',
      minSimilarity: 0,
      maxReuse: 1,
      remixOf: null,
      pool: 'interactive',
      attempt: 1,
      webhook: null,
      metadata: {},
      backfill: null,
      modelRevision: this.modelRevision,
      compatibilityKey: this.compatibilityKey,
      status: 'completed',
      createdAt,
      updatedAt: createdAt,
      progress: 100,
      cancelRequested: false,
      usage: [],
      ...(prompt.includes('zorbly') && {
        warnings: promptWarnings({ unknownWords: ['zorbly'], cutTokens: 0, cutWords: [] }),
      }),
    };
    if (this.#cancelled.has(videoId)) {
      job.status = 'cancelled';
    } else if (
      prompt.includes('explode') ||
      this.#options.failingSeeds?.includes(job.seed) === true
    ) {
      job.status = 'failed';
      job.error = { code: 'workflow_failed', message: 'the worker\nexploded' };
    } else {
      job.result = this.#finish(job);
      job.completedAt = new Date().toISOString();
    }
    this.#state.jobs[videoId] = job;
    this.#save();
    return job;
  }

  #finish(job: Job): JobResult {
    const { videoId } = job;
    const donorId = Object.keys(this.#state.entries).length % 2 === 1 ? this.#lastEntryId() : null;
    const hit: HitKind = donorId === null ? 'miss' : 'object';
    const keys = {
      videoKey: `videos/${videoId}/a.mp4`,
      posterKey: `videos/${videoId}/a.png`,
      animationKey: `videos/${videoId}/a.webp`,
      spritesheetKey: `videos/${videoId}/a.jpg`,
    };
    const latentKey = `latents/${videoId}/a.fcl`;
    const { mp4 = Buffer.from(`mp4 of ${videoId}`), webp, png } = this.#options;
    this.#putObject(keys.videoKey, mp4);
    this.#putObject(keys.posterKey, png ?? Buffer.from('png'));
    this.#putObject(keys.animationKey, webp ?? Buffer.from('webp'));
    this.#putObject(latentKey, Buffer.from('latent'));
    this.#state.entries[videoId] = {
      ...keys,
      entryId: videoId,
      state: 'READY',
      tenant: job.tenant,
      scope: job.scope,
      compatibilityKey: job.compatibilityKey,
      exactKey: videoId,
      promptKey: job.prompt,
      prompt: job.prompt,
      objectPhrase: 'a ball',
      backgroundPhrase: null,
      seed: job.seed,
      latentKey,
      latentBytes: 6,
      latentSha256: '',
      videoBytes: mp4.length,
      vectors: { whole: [1], object: [1], background: null },
      reuseDepth: donorId === null ? 0 : 1,
      hits: 0,
      createdAt: job.createdAt,
      gpuSeconds: 0,
      stepsRun: 12,
    };
    this.#state.vectors.push(videoId);
    return {
      ...keys,
      hit,
      donors:
        donorId === null
          ? []
          : [{ entryId: donorId, part: 'object', similarity: 0.93, latentKey: 'latents/x' }],
      startTime: donorId === null ? 1 : 0.6,
      anchor: 'none',
      stepsRun: donorId === null ? 12 : 7,
      fullSteps: 12,
      videoBytes: mp4.length,
      latentBytes: 6,
      admission: { stored: true },
      seconds: { embed: 0.1, lookup: 0.1, queue: 0, generate: 1, commit: 0.1, total: 1.3 },
    };
  }

  /** The real machine over the fake's stores; a line's video is made by `generate`. */
  #openBackfills(): EmbeddedBackfills {
    const { table, objects } = this;
    const backfills = this.services.backfills;
    const foreign: ExternalObjects = {
      read: async function* (key) {
        yield await objects.get(key);
      },
    };
    const { modelRevision, compatibilityKey, facts } = this;
    const submit = createSubmitHandler({
      table,
      backfills,
      tenants: {
        getTenant: async () => null,
        reserve: async () => true,
        settle: async () => {},
      } as unknown as TenantTable,
      modelRevision,
      compatibilityKey,
      facts,
      costOf: () => 0n,
      estimate: () => 0n,
      defaultBudgetPerDay: null,
    });
    return new EmbeddedBackfills({
      definition: DEFINITION,
      handlers: {
        Prepare: createPrepareHandler({
          backfills,
          objects,
          uploads: foreign,
          modelRevision,
          steps: FULL_STEPS,
          capabilities: SAMPLE_CAPABILITIES,
        }),
        Submit: (input: SubmitInput) => {
          if ('idempotencyKey' in input.item) {
            const { idempotencyKey } = input.item;
            this.#lineKeys.set(videoIdForKey(DEFAULT_TENANT, idempotencyKey), idempotencyKey);
          }
          return submit(input);
        },
        Close: createCloseHandler({
          table,
          backfills,
          objects,
          results: foreign,
          notifications: { send: async () => {} },
          costOf: () => 0n,
        }),
      },
      backfills,
      objects,
      runGenerate: async ({ videoId, prompt, seed, cache, steps }) => {
        const idempotencyKey = this.#lineKeys.get(videoId)!;
        const job = await this.generate({ prompt, seed, cache, steps, idempotencyKey });
        if (job.status === 'completed') return { status: 'SUCCEEDED', output: { videoId } };
        const { code, message } = job.error ?? { code: job.status, message: '' };
        return { status: 'FAILED', error: code, cause: message };
      },
      cancelVideo: (videoId) => this.cancel(videoId),
    });
  }

  #lastEntryId(): string | null {
    return Object.keys(this.#state.entries).at(-1) ?? null;
  }

  #putObject(key: string, body: Uint8Array): void {
    this.#state.objects[key] = Buffer.from(body).toString('base64');
  }

  #save(): void {
    writeFileSync(this.#path, JSON.stringify(this.#state));
  }

  async cancel(videoId: string): Promise<void> {
    this.#cancelled.add(videoId);
  }

  async finished(videoId: string): Promise<Job> {
    return this.#state.jobs[videoId]!;
  }

  async resumeUnfinished(): Promise<string[]> {
    return [];
  }

  async close(): Promise<void> {
    await this.backfills.close();
    this.#save();
  }

  /** Takes a lease as a running look-up would. */
  lease(entryId: string, leaseUntil: number): void {
    this.#state.entries[entryId]!.leaseUntil = leaseUntil;
  }

  readonly table = {
    createJob: async (job: Job) => {
      const known = this.#state.jobs[job.videoId];
      return { job: known ?? job, created: known === undefined };
    },
    resubmitJob: async (videoId: string) => this.#state.jobs[videoId]!,
    getJob: async (videoId: string) => this.#state.jobs[videoId] ?? null,
    getEntry: async (entryId: string) => this.#state.entries[entryId] ?? null,
    moveEntry: async (entryId: string, from: string, to: Entry['state'], now: number) => {
      const entry = this.#state.entries[entryId];
      if (entry?.state !== from || (entry.leaseUntil ?? 0) > now) return false;
      entry.state = to;
      this.deletions.push(to);
      return true;
    },
    deleteEntry: async (entryId: string) => {
      this.deletions.push('record');
      delete this.#state.entries[entryId];
    },
    scanEntries: () => scan(Object.values(this.#state.entries)),
  } as unknown as Table;

  readonly objects = {
    put: async (key: string, body: Uint8Array) => this.#putObject(key, body),
    list: (prefix: string) =>
      scan(
        Object.keys(this.#state.objects)
          .filter((key) => key.startsWith(prefix))
          .map((key) => ({ key, modifiedAt: 0 })),
      ),
    get: async (key: string) => {
      const body = this.#state.objects[key];
      if (body === undefined) throw new ObjectMissingError(key);
      return Buffer.from(body, 'base64');
    },
    delete: async (key: string) => {
      this.deletions.push('latent');
      delete this.#state.objects[key];
    },
  } as unknown as ObjectStore;

  readonly services = {
    backfills: {
      createBackfill: async (backfill: Backfill) => {
        this.#state.backfills[backfill.backfillId] = backfill;
        return { backfill, created: true };
      },
      getBackfill: async (backfillId: string) => this.#state.backfills[backfillId] ?? null,
      listBackfills: async () => ({ items: Object.values(this.#state.backfills), hasMore: false }),
      scanBackfills: () => scan(Object.values(this.#state.backfills)),
      updateBackfill: async (backfillId: string, changes: Partial<Backfill>) => {
        const updated = { ...this.#state.backfills[backfillId]!, ...changes };
        this.#state.backfills[backfillId] = updated;
        return updated;
      },
      requestBackfillCancel: async (backfillId: string) => {
        this.#state.backfills[backfillId]!.cancelRequested = true;
      },
      putLine: async (line: BackfillLine) => {
        this.#state.lines[`${line.backfillId} ${line.line} ${line.video ?? 1}`] = line;
      },
      listLines: (backfillId: string) =>
        scan(Object.values(this.#state.lines).filter((line) => line.backfillId === backfillId)),
    } satisfies BackfillTable,
  } as unknown as EmbeddedCloud['services'];

  readonly vectors = {
    delete: async (entryIds: readonly string[]) => {
      this.deletions.push('vectors');
      this.#state.vectors = this.#state.vectors.filter((id) => !entryIds.includes(id));
    },
  } as unknown as VectorIndex;
}

async function* scan<Item>(items: readonly Item[]): AsyncGenerator<Item> {
  yield* items;
}
