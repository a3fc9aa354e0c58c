import { ASSUMED_TIMING, estimateCost, measuredTiming } from '#core/cost.ts';
import type { Entry, GenerationRequest, HitKind, Plan, PromptEmbedding } from '#core/generation.ts';
import { exactKey, promptKey } from '#core/identity.ts';
import { lineageAfter, lineageOf } from '#core/lineage.ts';
import { newRequest } from '#core/new-request.ts';
import type { PriceBook } from '#core/prices.ts';
import { EMBEDDER_FILES } from '#models/manifest.ts';
import { OnnxTextEmbedder } from '#models/onnx-text-embedder.ts';
import { ModelPromptSplitter } from '#models/prompt-splitter.ts';
import { LineKeys } from '#readers/line-key.ts';
import { readRequests } from '#readers/read-requests.ts';
import type { ReadLine } from '#readers/request-line.ts';
import { S3ForeignObjects, type ForeignObjects } from '#stores/foreign-objects.ts';
import type { Table } from '#stores/table.ts';
import { deployedPrices } from '../deployed-prices.ts';
import { deployedTelemetry } from '../deployed-telemetry.ts';
import { embedPrompt } from '../embed/embed-prompt.ts';
import { ENVIRONMENT } from '../environment.ts';
import { readingOf } from '../commit/store-outcome.ts';
import { createLookupHandler, type LookupServices } from '../lookup/handler.ts';
import {
  deployedModel,
  deployedTable,
  deployedVectors,
  lazily,
  reuseRules,
  variable,
  type Services,
} from '../services.ts';
import { namingErrors } from '../task-error.ts';
import { observed } from '../telemetry.ts';
import { limited } from '../prepare/handler.ts';
import { BatchTable } from './batch-table.ts';
import { noHits, type Prediction, type PredictionQuestion } from './prediction.ts';

export interface PredictServices extends Pick<
  Services,
  'embedder' | 'splitter' | 'vectors' | 'calibration' | 'compatibilityKey'
> {
  table: LookupServices['table'] & Pick<Table, 'listJobs'>;
  /** Where a file is, as its owner put it. */
  uploads: ForeignObjects;
  modelRevision: string;
  /** The package's tuned number of network evaluations. */
  steps: number;
  prices: PriceBook;
}

/** Lines that are looked up: as many as fit into the half minute that the HTTP API waits. */
export const MAX_LOOKED_AT = 200;

/** Lines at once; like videos that are in the making at once, they are no donors of each other. */
const WAVE = 8;

/** Videos of the tenant by which GPU time is measured. */
const MEASURED_VIDEOS = 20;

/**
 * Says what a backfill would come to: each line is looked up as it would be, without a lease, in the
 * cache as the lines before it would leave it. Makes nothing and writes nothing.
 */
export function createPredictHandler(
  services: PredictServices,
): (question: PredictionQuestion) => Promise<Prediction> {
  return namingErrors((question) => predict(services, question));
}

/** The same within this process, with errors as they are. */
export async function predict(
  services: PredictServices,
  question: PredictionQuestion,
): Promise<Prediction> {
  const lines = new LineCounts(services, question);
  for await (const read of linesOf(services, question)) lines.add(read);
  const forecast = new Forecast(services);
  for (let first = 0; first < lines.requests.length; first += WAVE) {
    await forecast.lookUp(lines.requests.slice(first, first + WAVE));
  }
  return predictionOf(services, question, lines, forecast);
}

async function* linesOf(
  { uploads }: PredictServices,
  { source }: PredictionQuestion,
): AsyncGenerator<ReadLine> {
  if ('inputKey' in source) {
    yield* readRequests(source.format, limited(uploads.read(source.inputKey)));
  } else {
    for (const [index, request] of source.prompts.entries()) yield { line: index + 1, request };
  }
}

/** Counts the lines of the input and keeps the first of its requests. */
class LineCounts {
  readonly requests: GenerationRequest[] = [];
  readable = 0;
  rejected = 0;
  readonly #keys: LineKeys;
  readonly #question: PredictionQuestion;
  readonly #steps: number;

  constructor({ modelRevision, steps }: PredictServices, question: PredictionQuestion) {
    this.#keys = new LineKeys(modelRevision, question.defaults);
    this.#question = question;
    this.#steps = steps;
  }

  add(read: ReadLine): void {
    if ('error' in read) {
      this.rejected += 1;
      return;
    }
    this.readable += 1;
    if (this.requests.length === MAX_LOOKED_AT) return;
    const { tenant, defaults } = this.#question;
    const {
      prompt,
      seed,
      cache = defaults.cache,
      steps = defaults.steps ?? this.#steps,
    } = read.request;
    const key = this.#keys.next(read.request);
    const { scope, minSimilarity, maxReuse } = defaults;
    const asked = { prompt, cache, steps, tenant, scope, minSimilarity, maxReuse };
    this.requests.push(
      newRequest(
        {
          ...asked,
          seed: seed ?? key.seed,
          idempotencyKey: key.idempotencyKey,
          pool: 'backfill',
        },
        { steps },
      ),
    );
  }
}

/** What became of the lines that were looked up. */
class Forecast {
  readonly plans: Plan[] = [];
  alreadyThere = 0;
  readonly #services: PredictServices;
  readonly #batch: BatchTable;
  readonly #lookUp: ReturnType<typeof createLookupHandler>;

  constructor(services: PredictServices) {
    this.#services = services;
    const { table, vectors, calibration, compatibilityKey } = services;
    this.#batch = new BatchTable(table, vectors);
    this.#lookUp = createLookupHandler({
      table: this.#batch,
      vectors: this.#batch,
      calibration,
      compatibilityKey,
    });
  }

  async lookUp(requests: readonly GenerationRequest[]): Promise<void> {
    const found = await Promise.all(requests.map((request) => this.#planOf(request)));
    for (const line of found) {
      if (line === null) {
        this.alreadyThere += 1;
        continue;
      }
      this.plans.push(line.plan);
      const entry = await this.#entryOf(line);
      if (entry !== null) this.#batch.expect(entry);
    }
  }

  async #planOf(request: GenerationRequest): Promise<PlannedLine | null> {
    const made = await this.#services.table.getJob(request.videoId);
    if (made?.status === 'completed' && made.deletedAt === undefined) return null;
    const embedding = await embedPrompt(this.#services, request.prompt);
    const embed = { embedding, seconds: 0, startedAt: 0, usage: { step: 'embed' as const } };
    const { plan } = await this.#lookUp({ request, embed });
    return { request, embedding, plan };
  }

  /** The entry that a line would leave behind; null where its cache mode or its hit leaves none. */
  async #entryOf({ request, embedding, plan }: PlannedLine): Promise<Entry | null> {
    if (request.cache === 'off' || request.cache === 'readonly' || plan.hit === 'exact')
      return null;
    const { videoId, prompt, seed, steps, tenant, scope, remixOf } = request;
    const { compatibilityKey } = this.#services;
    const partition = { compatibilityKey, scope, tenant };
    const donors = await Promise.all(
      plan.donors.map(async ({ entryId, similarity }) => {
        const donor = await this.#batch.getEntry(entryId);
        return { similarity, lineage: donor && lineageOf(donor) };
      }),
    );
    return {
      ...partition,
      entryId: videoId,
      state: 'READY',
      exactKey: exactKey({ prompt, seed, steps, remixOf, ...partition }),
      promptKey: promptKey({ prompt, ...partition }),
      prompt,
      ...readingOf(embedding),
      seed,
      vectors: embedding.vectors,
      ...lineageAfter(steps, donors),
      hits: 0,
      createdAt: '',
      gpuSeconds: 0,
      stepsRun: plan.steps,
      ...NO_OBJECTS,
    };
  }
}

interface PlannedLine {
  request: GenerationRequest;
  embedding: PromptEmbedding;
  plan: Plan;
}

const NO_OBJECTS = {
  latentKey: '',
  latentBytes: 0,
  latentSha256: '',
  videoKey: '',
  posterKey: '',
  animationKey: '',
  spritesheetKey: '',
  videoBytes: 0,
};

async function predictionOf(
  { table, prices }: PredictServices,
  { tenant }: PredictionQuestion,
  { readable, rejected, requests }: LineCounts,
  { plans, alreadyThere }: Forecast,
): Promise<Prediction> {
  const { items } = await table.listJobs(tenant, { limit: MEASURED_VIDEOS });
  const measured = items.filter(({ usage }) => usage.some(({ gpuSeconds }) => gpuSeconds));
  const timing = measuredTiming(measured.flatMap(({ usage }) => usage)) ?? ASSUMED_TIMING;
  const priceOf = (networkEvaluations: number): bigint =>
    estimateCost({ networkEvaluations, timing }, prices).total;

  const lookedAt = requests.length;
  const hits = noHits();
  const sums = { stepsRun: 0, stepsFull: 0, cost: 0n, costWithoutCache: 0n };
  for (const { hit, steps, fullSteps } of plans) {
    hits[hit] += 1;
    sums.stepsRun += steps;
    sums.stepsFull += fullSteps;
    sums.cost += priceOf(steps);
    sums.costWithoutCache += priceOf(fullSteps);
  }
  const scale = (count: number): number =>
    lookedAt === 0 ? 0 : Math.round((count * readable) / lookedAt);
  const scaleMoney = (amount: bigint): string =>
    (lookedAt === 0 ? 0n : (amount * BigInt(readable)) / BigInt(lookedAt)).toString();
  return {
    lines: readable + rejected,
    rejected,
    alreadyThere: scale(alreadyThere),
    lookedAt,
    hits: Object.fromEntries(
      Object.entries(hits).map(([hit, count]) => [hit, scale(count)]),
    ) as Record<HitKind, number>,
    stepsRun: scale(sums.stepsRun),
    stepsFull: scale(sums.stepsFull),
    cost: scaleMoney(sums.cost),
    costWithoutCache: scaleMoney(sums.costWithoutCache),
    measuredVideos: timing === ASSUMED_TIMING ? 0 : measured.length,
  };
}

export const handler = lazily(async () => {
  const modelPackage = await deployedModel(EMBEDDER_FILES);
  const { splitter: parts, scheduler } = modelPackage.manifest;
  // A Lambda handles one request at a time: a thread would only cost its start.
  const embedder = await OnnxTextEmbedder.open(modelPackage, { inThread: false });
  const answer = createPredictHandler({
    embedder,
    splitter: new ModelPromptSplitter(embedder, embedder.tokenizer, parts.labels),
    table: deployedTable(),
    vectors: deployedVectors(),
    uploads: new S3ForeignObjects({ bucket: variable(ENVIRONMENT.latentsBucket) }),
    ...reuseRules(modelPackage),
    modelRevision: modelPackage.revision,
    steps: scheduler.steps,
    prices: deployedPrices(),
  });
  return observed('predict', deployedTelemetry(), answer);
});
