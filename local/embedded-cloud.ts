import { readFile } from 'node:fs/promises';
import { createCloseHandler } from '#functions/close/handler.ts';
import { createCommitHandler } from '#functions/commit/handler.ts';
import { costBy, embeddedPrices } from '#functions/shared/deployed-prices.ts';
import { createDispatchHandler } from '#functions/dispatch/handler.ts';
import { createEmbedHandler } from '#functions/embed/handler.ts';
import { createFailHandler } from '#functions/fail/handler.ts';
import { createLookupHandler } from '#functions/lookup/handler.ts';
import { createPrepareHandler } from '#functions/prepare/handler.ts';
import { reserveMoney } from '#functions/shared/reserve-money.ts';
import { createSubmitHandler } from '#functions/submit/handler.ts';
import { reuseRules, type Services } from '#functions/shared/services.ts';
import { SILENT_TELEMETRY, type Telemetry } from '#functions/shared/telemetry.ts';
import { createWorker, type WorkerEvent, type WorkerSettings } from '#denoiser/worker.ts';
import { choiceOf, type Choice } from '#core/requests/capabilities.ts';
import { estimateCost } from '#core/costs/cost.ts';
import { dayOf } from '#core/day.ts';
import { ConditionFailedError, FlexCacheError, InvalidInputError } from '#core/errors.ts';
import { imageOfFile } from '#core/requests/first-image.ts';
import type { GenerationRequest, Job, VideoFacts } from '#core/generation.ts';
import { hasEnded } from '#core/requests/has-ended.ts';
import { executionName, imageObjectKey, requestCompatibilityKey } from '#core/requests/identity.ts';
import { newJob, requestOf } from '#core/requests/new-job.ts';
import { newRequest, type RequestInput } from '#core/requests/new-request.ts';
import { NO_LIMITS } from '#core/requests/tenant.ts';
import { capabilitiesOf } from '#models/capabilities.ts';
import type { ExecutionProvider } from '#models/execution-provider.ts';
import type { ModelManifest } from '#models/manifest.ts';
import { calibrationEvent } from '#models/package-calibration.ts';
import { videoFacts } from '#models/video-facts.ts';
import { DynamoDeliveryLog, type DeliveryLog } from '#aws/deliveries.ts';
import { DynamoBackfillTable } from '#aws/dynamo-backfills.ts';
import { DynamoPaceTable } from '#aws/dynamo-pace-table.ts';
import { DynamoRetentionTable } from '#aws/dynamo-retention-table.ts';
import { DynamoTenantTable } from '#aws/dynamo-tenants.ts';
import type { ExternalObjects } from '#aws/external-objects.ts';
import type { NotificationQueue } from '#ports/notifications.ts';
import type { ObjectStore } from '#ports/objects.ts';
import type { PaceTable } from '#ports/pace-table.ts';
import type { Table } from '#ports/table.ts';
import type { VectorIndex } from '#ports/vector-index.ts';
import type { WorkflowStarter } from '#ports/workflow.ts';
import { DEFAULT_TENANT } from './default-tenant.ts';
import { EmbeddedBackfills, type BackfillRunner } from './embedded-backfills.ts';
import { openModels, type EmbeddedModels } from './embedded-models.ts';
import { EmbeddedQueue } from './embedded-queue.ts';
import type { ExecutionOutcome } from './embedded-machine.ts';
import { EmbeddedRetention } from './embedded-retention.ts';
import { EmbeddedEngine } from './engine.ts';
import { ExactVectorIndex } from './exact-vector-index.ts';
import { FileObjectStore, type FileObjectStoreOptions } from './file-object-store.ts';
import { serveCalls } from './owner-calls.ts';
import { ProgressFeed } from './progress-feed.ts';
import { openStateFolder, type StateUse } from './state-folder.ts';
import { publishTableEndpoint } from './table-endpoint.ts';
import { startTableServer } from './table-server.ts';

export interface EmbeddedCloudOptions {
  /** Folder of all state; created when missing, unless it is only to be changed. */
  stateDirectory: string;
  stateUse?: Exclude<StateUse, 'read'>;
  /** Folder of the model package. */
  modelDirectory: string;
  /** onnxruntime execution provider of the worker. */
  executionProvider?: ExecutionProvider;
  /** Videos that the worker makes at once, as far as they fit the GPU; 1 unless said. */
  batch?: number;
  /** What the worker and the state folder have to say; nothing is written unless asked for. */
  log?: (event: WorkerEvent) => void;
  /** Dollars a month that the cache may cost in rent; null, as unless said, for whatever pays its rent. */
  cacheBudgetUsd?: number | null;
  /** Addresses of objects, from whoever serves them; without it `objects.presign` refuses. */
  presign?: FileObjectStoreOptions['presign'];
  /** Delivers announcements; without it they are logged and dropped. Called once, when all is open. */
  notifications?: (parts: NotificationParts) => NotificationQueue & AsyncDisposable;
}

/** What the sender of announcements reads. */
export type NotificationStores = Pick<Services, 'table' | 'tenants' | 'backfills'>;

/** What it works with. */
export interface NotificationParts extends NotificationStores {
  objects: ObjectStore;
  deliveries: DeliveryLog;
}

/** What a person asks for of one video, before validation; the tenant is this machine's unless said. */
export type GenerateInput = Omit<RequestInput, 'tenant' | 'image'> &
  Omit<Choice, 'n' | 'image'> & {
    tenant?: string;
    /** File of the first image: PNG, JPEG or WebP. */
    imageFile?: Uint8Array;
  };

/** The same, with what its image is named by. */
type NamedInput = GenerateInput & Pick<GenerationRequest, 'image'>;

function named(input: GenerateInput): NamedInput {
  const { imageFile } = input;
  return imageFile === undefined ? input : { ...input, image: imageOfFile(imageFile) };
}

export interface Progress {
  videoId: string;
  stage: 'embed' | 'lookup' | 'queue' | 'generate' | 'commit';
  /** 0..100 */
  percent: number;
}

/** The whole product on one machine. */
export interface EmbeddedCloud {
  readonly stateDirectory: string;
  readonly modelRevision: string;
  readonly manifest: ModelManifest;
  /** What its videos are. */
  readonly facts: VideoFacts;
  /** Of the model package; entries of another key are no donors. */
  readonly compatibilityKey: string;
  readonly table: Table;
  readonly objects: ObjectStore;
  readonly vectors: VectorIndex;
  /** What became of announcements. */
  readonly deliveries: DeliveryLog;
  /** What the functions work with. */
  readonly services: Services;
  /** For those who submit jobs themselves; see `finished`. */
  readonly workflow: WorkflowStarter;
  readonly backfills: BackfillRunner;
  /** Runs eviction and sweep; other processes may request them meanwhile. */
  readonly retention: EmbeddedRetention;
  /**
   * Submits and waits. Resolves with the finished job, completed, failed or cancelled; rejects only
   * on invalid input or when the embedded cloud itself breaks.
   */
  generate(input: GenerateInput, onProgress?: (progress: Progress) => void): Promise<Job>;
  cancel(videoId: string): Promise<void>;
  /**
   * Waits until the job of a video has ended; rejects when the embedded cloud closes before that. A
   * job that nobody has started is returned as it is.
   *
   * @throws FlexCacheError `not_found`
   */
  finished(videoId: string): Promise<Job>;
  /**
   * Starts what a process before this one left queued or running, and returns the ids. Jobs of
   * another model fail.
   */
  resumeUnfinished(): Promise<string[]>;
  /** Stops the worker between two steps, flushes and releases the state folder. */
  close(): Promise<void>;
}

/** The definitions of `infra/workflow-stack.ts`; `npm run build:definition` writes them. */
const GENERATE_DEFINITION = new URL('generate.asl.json', import.meta.url);
const BACKFILL_DEFINITION = new URL('backfill.asl.json', import.meta.url);

/** What two requests of one idempotency key must agree in, where both say it. */
const IDENTIFYING_FIELDS = [
  'prompt',
  'seed',
  'cache',
  'steps',
  'guidanceScale',
  'negativePrompt',
  'image',
  'scope',
  'minSimilarity',
  'maxReuse',
  'remixOf',
] as const satisfies readonly (keyof GenerationRequest)[];

const SIGNALS = ['SIGINT', 'SIGTERM'] as const;

/** How tests put their own parts in. */
export interface EmbeddedParts {
  openModels?: typeof openModels;
  worker?: Partial<WorkerSettings>;
  /** Pauses before the workflow's retries, in milliseconds by state. */
  retryPauses?: Readonly<Record<string, number>>;
  /** Epoch milliseconds, for passes over the cache: a test has no weeks. */
  now?: () => number;
}

/**
 * Opens (and creates) the state folder.
 *
 * @throws FlexCacheError `state_locked` when another process holds it; `model_missing` or
 * `model_corrupt` before the folder is touched.
 * @example
 * const cloud = await openEmbeddedCloud({ stateDirectory: '.flexcache', modelDirectory });
 * const job = await cloud.generate({ prompt: 'a red ball bouncing over a meadow' });
 * await cloud.close();
 */
export async function openEmbeddedCloud(
  options: EmbeddedCloudOptions,
  parts: EmbeddedParts = {},
): Promise<EmbeddedCloud> {
  // In the order of opening; closing goes backwards.
  await using opened = new AsyncDisposableStack();
  const models = await (parts.openModels ?? openModels)(
    options.modelDirectory,
    options.executionProvider ?? 'cpu',
    options.batch,
  );
  if (models.batch !== undefined && models.batch < (options.batch ?? 1)) {
    options.log?.({
      level: 'warn',
      event: 'batch_reduced',
      message: `the GPU has memory for ${models.batch} videos at once, not for ${options.batch}`,
    });
  }
  opened.defer(() => models.embedder.close());
  opened.defer(() => models.video.close());
  const state = await openStateFolder(options.stateDirectory, options.stateUse);
  opened.defer(() => state.release());
  const server = await startTableServer({ path: state.table });
  opened.defer(() => server.close());
  opened.defer(await publishTableEndpoint(state.directory, server.endpoint));
  const { table, droppedBytes } = server;
  if (droppedBytes > 0) {
    options.log?.({
      level: 'warn',
      event: 'table_damaged',
      message: `the table's journal was damaged: ${droppedBytes} bytes of it, the newest jobs and entries, are lost`,
    });
  }
  const objects = await FileObjectStore.open(state.objects, {
    ...(options.presign && { presign: options.presign }),
  });
  const vectors = await ExactVectorIndex.open(state.vectors);
  opened.defer(() => vectors.close());
  if (vectors.needsRebuild || droppedBytes > 0) await vectors.rebuild(table.scanEntries());
  const stores: NotificationStores = {
    table,
    tenants: new DynamoTenantTable(server.connection),
    backfills: new DynamoBackfillTable(server.connection),
  };
  const retention = new EmbeddedRetention({
    stores: { table, vectors, objects, retention: new DynamoRetentionTable(server.connection) },
    dimensions: models.modelPackage.manifest.embedding.dimensions,
    ...(options.cacheBudgetUsd !== undefined && { budgetUsd: options.cacheBudgetUsd }),
    ...(parts.now && { now: parts.now }),
  });
  opened.use(await serveCalls(state.directory, retention.calls));
  // Closes before who answers: a call under way ends with what it has done.
  opened.defer(() => retention.close());
  const deliveries = new DynamoDeliveryLog(server.connection);
  const notifications = options.notifications?.({ ...stores, objects, deliveries });
  if (notifications) opened.use(notifications);
  const [generate, backfill] = await Promise.all(
    [GENERATE_DEFINITION, BACKFILL_DEFINITION].map(
      async (file) => JSON.parse(await readFile(file, 'utf8')) as object,
    ),
  );

  return new LocalCloud({
    stateDirectory: state.directory,
    models,
    ...stores,
    objects,
    vectors,
    retention,
    notifications: notifications ?? dropping(options.log),
    pace: new DynamoPaceTable(server.connection),
    deliveries,
    definitions: { generate: generate!, backfill: backfill! },
    log: options.log,
    parts,
    opened: opened.move(),
  });
}

interface LocalCloudOptions extends NotificationStores {
  stateDirectory: string;
  models: EmbeddedModels;
  retention: EmbeddedRetention;
  notifications: NotificationQueue;
  pace: PaceTable;
  deliveries: DeliveryLog;
  objects: ObjectStore;
  vectors: VectorIndex;
  definitions: { generate: object; backfill: object };
  log: EmbeddedCloudOptions['log'];
  parts: EmbeddedParts;
  /** What was opened for it, and closes with it. */
  opened: AsyncDisposableStack;
}

class LocalCloud implements EmbeddedCloud {
  readonly stateDirectory: string;
  readonly modelRevision: string;
  readonly manifest: ModelManifest;
  readonly facts: VideoFacts;
  readonly compatibilityKey: string;
  readonly table: Table;
  readonly objects: ObjectStore;
  readonly vectors: VectorIndex;
  readonly deliveries: DeliveryLog;
  readonly services: Services;
  readonly workflow: WorkflowStarter;
  readonly backfills: EmbeddedBackfills;
  readonly retention: EmbeddedRetention;
  readonly #queue = new EmbeddedQueue();
  readonly #progress = new ProgressFeed();
  readonly #engine: EmbeddedEngine;
  readonly #fail: ReturnType<typeof createFailHandler>;
  readonly #opened: AsyncDisposableStack;
  readonly #shutdown = new AbortController();
  readonly #worker: Promise<void>;
  /** Jobs under way, by video id. */
  readonly #finishing = new Map<string, { attempt: number; job: Promise<Job> }>();
  /** Rejects when the worker breaks or the cloud closes: nobody may wait for ever. */
  readonly #ended = Promise.withResolvers<never>();
  readonly #log: EmbeddedCloudOptions['log'];
  readonly #onSignal = (signal: NodeJS.Signals): void => this.#closeOn(signal);
  #closed: Promise<void> | undefined;

  constructor(options: LocalCloudOptions) {
    const { models, table, objects, vectors, parts } = options;
    this.stateDirectory = options.stateDirectory;
    this.modelRevision = models.modelPackage.revision;
    this.manifest = models.modelPackage.manifest;
    this.facts = videoFacts(this.manifest);
    this.table = table;
    this.objects = objects;
    this.vectors = vectors;
    this.deliveries = options.deliveries;
    this.retention = options.retention;
    this.#opened = options.opened;
    this.#log = options.log;
    options.log?.(calibrationEvent(models.calibration));
    const rules = reuseRules(models.modelPackage, models.calibration);
    this.compatibilityKey = rules.compatibilityKey;

    const { embedder, splitter, reader } = models;
    const { tenants, backfills, notifications } = options;
    const services: Services = {
      table,
      vectors,
      objects,
      embedder,
      splitter,
      reader,
      ...rules,
      tenants,
      backfills,
      notifications,
      pace: options.pace,
      costOf: costBy(embeddedPrices()),
    };
    this.services = services;
    this.workflow = {
      start: (request, attempt) => this.#start(request, attempt),
      stop: (videoId) => this.#engine.stop(videoId),
    };
    const telemetry: Telemetry = {
      ...SILENT_TELEMETRY,
      log: (event) => options.log?.(event),
    };
    this.#fail = createFailHandler({ ...services, telemetry });
    const dispatch = createDispatchHandler({
      table,
      queues: { interactive: this.#queue, backfill: this.#queue },
      // The one worker is always awake.
      fleet: { wake: async () => {} },
      telemetry,
    });
    this.#engine = new EmbeddedEngine({
      definition: options.definitions.generate,
      handlers: {
        Embed: createEmbedHandler({ ...services, telemetry }),
        Lookup: createLookupHandler({ ...services, telemetry }),
        Generate: dispatch,
        GenerateInBackfill: dispatch,
        Commit: createCommitHandler({
          ...services,
          telemetry,
          addsLittle: this.retention.addsLittle,
        }),
        Fail: this.#fail,
      },
      onTask: (videoId, state) => this.#progress.onTask(videoId, state),
      ...(parts.retryPauses && { retryPauses: parts.retryPauses }),
    });

    const prices = embeddedPrices();
    this.backfills = new EmbeddedBackfills({
      definition: options.definitions.backfill,
      handlers: {
        Prepare: createPrepareHandler({
          backfills,
          objects,
          uploads: foreignObjects(objects),
          modelRevision: this.modelRevision,
          steps: this.manifest.scheduler.steps,
          capabilities: capabilitiesOf(this.manifest),
        }),
        Submit: createSubmitHandler({
          ...services,
          telemetry,
          modelRevision: this.modelRevision,
          facts: this.facts,
          estimate: (steps) => estimateCost({ networkEvaluations: steps }, prices).total,
          defaultBudgetPerDay: NO_LIMITS.budgetPerDay,
        }),
        Close: createCloseHandler({
          ...services,
          objects,
          results: foreignObjects(objects),
        }),
      },
      backfills,
      objects,
      runGenerate: (request, attempt) => this.#runGenerate(request, attempt),
      cancelVideo: (videoId) => this.cancel(videoId),
      retryPauses: parts.retryPauses,
    });

    this.#ended.promise.catch(() => {});
    this.#worker = createWorker({
      model: models.video,
      manifest: models.modelPackage.manifest,
      ...rules,
      objects,
      queue: this.#queue,
      callbacks: this.#engine.callbacks,
      table: {
        getJob: (videoId) => table.getJob(videoId),
        recordUsage: (videoId, usage) => table.recordUsage(videoId, usage),
        leaveQueue: (pool, videoId) => table.leaveQueue(pool, videoId),
        setJobProgress: async (videoId, percent, usage) => {
          await table.setJobProgress(videoId, percent, usage);
          this.#progress.onGenerated(videoId, percent);
        },
      },
      machine: { instanceType: 'embedded', purchaseOption: 'embedded' },
      ...(options.log && { log: options.log }),
      settings: { ...(models.batch !== undefined && { batch: models.batch }), ...parts.worker },
    }).run(this.#shutdown.signal);
    this.#worker.catch((error: unknown) => this.#ended.reject(error));
    for (const signal of SIGNALS) process.on(signal, this.#onSignal);
  }

  async generate(asked: GenerateInput, onProgress?: (progress: Progress) => void): Promise<Job> {
    this.#requireOpen();
    const input = named(asked);
    const wanted = newJob(this.#requestOf(input), this);
    const { videoId } = wanted;
    const present = await this.table.getJob(videoId);
    if (present !== null) this.#requireSame(present, input);
    if (present === null || (hasEnded(present) && present.status !== 'completed')) {
      await this.#reserve(present ?? wanted, present === null ? 1 : present.attempt + 1);
    }
    if (input.imageFile !== undefined && present?.status !== 'completed') {
      await this.objects.put(imageObjectKey(videoId, input.image!), input.imageFile);
    }
    const job = present ?? (await this.table.createJob(wanted)).job;
    // Somebody may have used the same key at the same time.
    if (present === null) this.#requireSame(job, input);
    if (job.status === 'completed') return job;
    const stopListening = onProgress && this.#progress.listen(videoId, onProgress);
    try {
      const { attempt } = hasEnded(job) ? await this.table.resubmitJob(videoId) : job;
      // A rerun makes the video that was asked for first: its seed may have been drawn then.
      await this.#start(requestOf(job), attempt);
      return await this.finished(videoId);
    } finally {
      stopListening?.();
    }
  }

  async cancel(videoId: string): Promise<void> {
    await this.table.requestCancel(videoId);
    await this.#engine.stop(videoId);
  }

  async finished(videoId: string): Promise<Job> {
    const job = this.#finishing.get(videoId)?.job ?? this.#requireJob(videoId);
    return Promise.race([job, this.#ended.promise]);
  }

  async resumeUnfinished(): Promise<string[]> {
    this.#requireOpen();
    const resumed: string[] = [];
    for await (const job of this.table.scanJobs()) {
      const { videoId, attempt } = job;
      if (hasEnded(job) || this.#finishing.has(videoId)) continue;
      if (this.#isOfThisModel(job)) {
        await this.#start(requestOf(job), attempt);
        resumed.push(videoId);
      } else {
        const error = { Error: 'condition_failed', Cause: ofAnotherModel(job) };
        await this.#fail({ request: { videoId }, error });
      }
    }
    for await (const { backfillId, status } of this.services.backfills.scanBackfills()) {
      if (status === 'queued' || status === 'running') await this.backfills.start(backfillId);
    }
    return resumed;
  }

  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    for (const signal of SIGNALS) process.off(signal, this.#onSignal);
    // First: what ends from here on is not the end of a line.
    const stopping = Promise.all([this.backfills.close(), this.retention.close()]);
    this.#ended.reject(closed());
    this.#shutdown.abort();
    // What broke the worker was said to everyone who waited for it.
    await this.#worker.catch(() => {});
    await stopping;
    await this.#engine.close();
    this.#queue.close();
    await this.#opened.disposeAsync();
  }

  /** Starts an execution and sees to it that its job ends with it. */
  async #start(request: GenerationRequest, attempt: number): Promise<void> {
    this.#requireOpen();
    const { videoId } = request;
    const before = this.#finishing.get(videoId);
    // The job of an attempt has ended a little before its execution.
    if (before !== undefined && before.attempt !== attempt) await before.job.catch(() => {});
    await this.#engine.start(request, attempt);
    if (this.#finishing.has(videoId)) return;
    const job = this.#finish(videoId, attempt).finally(() => this.#finishing.delete(videoId));
    this.#finishing.set(videoId, { attempt, job });
    // Whoever waits for the job is told; that nobody does must not end the process.
    job.catch((error: unknown) => {
      if (this.#closed !== undefined) return;
      this.#log?.({ level: 'error', event: 'job_not_ended', videoId, message: String(error) });
    });
  }

  async #runGenerate(request: GenerationRequest, attempt: number): Promise<ExecutionOutcome> {
    await this.#start(request, attempt);
    const outcome = this.#engine.outcome(request.videoId);
    const job = await this.finished(request.videoId);
    return (await outcome) ?? outcomeOf(job);
  }

  #requireOpen(): void {
    if (this.#closed !== undefined) throw closed();
  }

  /** Waits for the execution's end; one that could not end its job has it ended here. */
  async #finish(videoId: string, attempt: number): Promise<Job> {
    const outcome = await this.#engine.outcome(videoId);
    const job = await this.#requireJob(videoId);
    // What is closed goes on in the next process.
    if (outcome === null || hasEnded(job) || this.#closed !== undefined) return job;
    const execution = executionName(videoId, attempt);
    await this.#fail({ execution, error: endedWithoutJob(outcome) });
    return this.#requireJob(videoId);
  }

  async #requireJob(videoId: string): Promise<Job> {
    const job = await this.table.getJob(videoId);
    if (job !== null) return job;
    throw new FlexCacheError('not_found', `there is no job ${videoId}`, { field: 'videoId' });
  }

  #requestOf(input: NamedInput): GenerationRequest {
    const condition = choiceOf(input, capabilitiesOf(this.manifest));
    const { guidanceScale: _scale, negativePrompt: _prompt, image: _image, ...asked } = input;
    const { steps } = this.manifest.scheduler;
    const tenant = input.tenant ?? DEFAULT_TENANT;
    return newRequest({ ...asked, ...condition, tenant }, { steps });
  }

  /** Money of the day, where the tenant was given a budget. */
  async #reserve({ tenant, videoId, steps, createdAt }: Job, attempt: number): Promise<void> {
    const { tenants } = this.services;
    const { budgetPerDay = NO_LIMITS.budgetPerDay } = (await tenants.getTenant(tenant)) ?? {};
    if (budgetPerDay === null) return;
    const reservation = {
      tenant,
      day: dayOf(createdAt),
      videoId: executionName(videoId, attempt),
      amount: estimateCost({ networkEvaluations: steps }, embeddedPrices()).total,
    };
    await reserveMoney(tenants, reservation, budgetPerDay);
  }

  /** The key of another request must not be answered with that one's video. */
  #requireSame(job: Job, input: NamedInput): void {
    const asked: Partial<Job> = { ...this.#requestOf({ ...input, seed: input.seed ?? job.seed }) };
    for (const field of IDENTIFYING_FIELDS) {
      if (input[field] === undefined || asked[field] === job[field]) continue;
      throw new InvalidInputError(
        'idempotencyKey',
        `the idempotency key was used for another request: its ${field} was ${JSON.stringify(job[field])}`,
        'use a new key for a new request',
      );
    }
    if (job.status !== 'completed' && !this.#isOfThisModel(job)) {
      throw new ConditionFailedError(
        `${ofAnotherModel(job)}: use a new idempotency key for this one`,
      );
    }
  }

  #isOfThisModel(job: Job): boolean {
    return job.compatibilityKey === requestCompatibilityKey(this.compatibilityKey, job);
  }

  /** Whoever else listens decides what a signal means; without anyone it ends the process. */
  #closeOn(signal: NodeJS.Signals): void {
    if (process.listenerCount(signal) > 1) return;
    void this.close().finally(() => process.kill(process.pid, signal));
  }
}

function ofAnotherModel({ videoId, status }: Job): string {
  return `video ${videoId} was asked of another model and is ${status}`;
}

/** Nobody reads announcements here: the log says what was not sent. */
function dropping(log: EmbeddedCloudOptions['log']): NotificationQueue {
  return {
    send: async ({ kind, id }) => log?.({ level: 'warn', event: 'notification_dropped', kind, id }),
  };
}

/** Outcome of an execution that has ended and whose state is gone. */
function outcomeOf({ videoId, status, error }: Job): ExecutionOutcome {
  if (status === 'completed') return { status: 'SUCCEEDED', output: { videoId } };
  return { status: 'FAILED', error: error?.code ?? 'internal', cause: error?.message ?? '' };
}

/** Embedded nobody else writes into the store: every object has its checksum. */
function foreignObjects(objects: ObjectStore): ExternalObjects {
  return {
    async *read(key) {
      yield await objects.get(key);
    },
  };
}

function endedWithoutJob(outcome: ExecutionOutcome): { Error: string; Cause: string } {
  if (outcome.status === 'FAILED') return { Error: outcome.error, Cause: outcome.cause };
  return { Error: `Execution.${outcome.status}`, Cause: '' };
}

function closed(): FlexCacheError {
  return new FlexCacheError('cancelled', 'the embedded cloud was closed while it worked', {
    fix: 'run the same command again: a request with an idempotency key goes on where it was',
  });
}
