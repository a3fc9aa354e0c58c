import { ASSUMED_TIMING, estimateCost, measuredTiming } from '#core/costs/cost.ts';
import { roundEquivalents } from '#core/planning/equivalents.ts';
import { FlexCacheError } from '#core/errors.ts';
import type { Entry, GenerationRequest, Job, Plan, PromptEmbedding } from '#core/generation.ts';
import type { PriceBook } from '#core/pricing/prices.ts';
import { capabilitiesOf } from '#models/capabilities.ts';
import { EMBEDDER_FILES } from '#models/manifest.ts';
import { openPromptModels } from '#models/prompt-models.ts';
import { readRequests } from '#readers/read-requests.ts';
import type { ReadLine } from '#readers/request-line.ts';
import { S3ForeignObjects, type ExternalObjects } from '#aws/external-objects.ts';
import type { Table } from '#ports/table.ts';
import type { TenantTable } from '#ports/tenants.ts';
import type { BackfillTime } from '../shared/backfill-time.ts';
import type { BackfillItem } from '../shared/backfill-states.ts';
import { deployedPrices } from '../shared/deployed-prices.ts';
import { deployedTelemetry } from '../shared/deployed-telemetry.ts';
import { embedPrompt } from '../shared/embed-prompt.ts';
import { ENVIRONMENT } from '../shared/environment.ts';
import { askedOf } from '../shared/store-outcome.ts';
import {
  admitLine,
  itemsOf,
  requestOfItem,
  type AdmittedLine,
  type LineAdmission,
  type LineModel,
} from '../shared/plan-lines.ts';
import { createLookupHandler, type LookupServices } from '../lookup/handler.ts';
import {
  deployedBackfillTime,
  deployedModel,
  deployedObjects,
  deployedTable,
  deployedTenants,
  deployedVectors,
  lazily,
  deployedRules,
  variable,
  type Services,
} from '../shared/services.ts';
import { withTaskErrors } from '../shared/task-error.ts';
import { observed } from '../shared/telemetry.ts';
import { limited } from '../prepare/handler.ts';
import { BatchSpending } from './batch-spending.ts';
import { BatchTable } from './batch-table.ts';
import { noHits, type Prediction, type PredictionQuestion } from '../shared/prediction.ts';

export interface PredictServices
  extends
    LineModel,
    Pick<
      Services,
      | 'embedder'
      | 'splitter'
      | 'vectors'
      | 'objects'
      | 'calibration'
      | 'compatibilityKey'
      | 'judged'
      | 'traits'
    > {
  table: LookupServices['table'] & Pick<Table, 'listJobs'>;
  tenants: Pick<TenantTable, 'getSpending'>;
  /** Where a file is, as its owner put it. */
  uploads: ExternalObjects;
  prices: PriceBook;
  /** Any number of lines has time unless given. */
  time?: BackfillTime;
}

/** Lines that are looked up: as many as fit into the half minute that the HTTP API waits. */
export const MAX_LOOKED_AT = 200;

/** Lines that are embedded and looked up at once, before their turn. */
const READ_AHEAD = 8;

/** Videos of the tenant by which GPU time is measured. */
const MEASURED_VIDEOS = 20;

/**
 * Says what a backfill would come to: each line is admitted and looked up as it would be, without a
 * reservation and a lease, in the cache as the lines before it would leave it. Makes nothing and writes
 * nothing.
 */
export function createPredictHandler(
  services: PredictServices,
): (question: PredictionQuestion) => Promise<Prediction> {
  return withTaskErrors((question) => predict(services, question));
}

/** The same within this process, with errors as they are. */
export async function predict(
  services: PredictServices,
  question: PredictionQuestion,
): Promise<Prediction> {
  const { table } = services;
  const lines = new LineCounts(question);
  for await (const item of itemsOf(linesOf(services, question), question.defaults, services)) {
    lines.add(item);
  }
  await services.time?.require(lines.readable, question.concurrency);
  const measured = await measuredVideos(table, question.tenant);
  const forecast = new Forecast(services, question, pricesOf(services, measured));
  for (let first = 0; first < lines.requests.length; first += READ_AHEAD) {
    const ahead = lines.requests.slice(first, first + READ_AHEAD);
    const read = await Promise.all(ahead.map((request) => forecast.readAhead(request)));
    for (const line of read) await forecast.take(line);
  }
  return predictionOf(lines, forecast, measured.length);
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

async function measuredVideos(table: PredictServices['table'], tenant: string): Promise<Job[]> {
  const { items } = await table.listJobs(tenant, { limit: MEASURED_VIDEOS });
  return items.filter(({ usage }) => usage.some(({ gpuSeconds }) => gpuSeconds));
}

/** Pico-dollars of so many network evaluations. */
type PriceOf = (networkEvaluations: number) => bigint;

function pricesOf({ prices }: PredictServices, measured: readonly Job[]): PriceOf {
  const timing = measuredTiming(measured.flatMap(({ usage }) => usage)) ?? ASSUMED_TIMING;
  return (networkEvaluations) => estimateCost({ networkEvaluations, timing }, prices).total;
}

/** Counts the lines of the input and keeps the first of its requests. */
class LineCounts {
  readonly requests: GenerationRequest[] = [];
  readable = 0;
  rejected = 0;
  readonly #question: PredictionQuestion;

  constructor(question: PredictionQuestion) {
    this.#question = question;
  }

  add(item: BackfillItem): void {
    if ('error' in item) {
      this.rejected += 1;
      return;
    }
    this.readable += 1;
    if (this.requests.length === MAX_LOOKED_AT) return;
    this.requests.push(requestOfItem(this.#question, item));
  }
}

/** A line that was read before its turn. */
interface LineAhead {
  request: GenerationRequest;
  /** What is there under its id. */
  present: Job | null;
  /** Null where nothing is to be made. */
  planned: { embedding: PromptEmbedding; plan: Plan; expected: number } | null;
}

/** What became of the lines that were looked up. */
class Forecast {
  readonly plans: Plan[] = [];
  readonly refused: Prediction['refused'] = {};
  readonly priceOf: PriceOf;
  alreadyThere = 0;
  readonly #services: PredictServices;
  readonly #concurrency: number;
  readonly #batch: BatchTable;
  readonly #spending: BatchSpending;
  readonly #admission: LineAdmission;
  readonly #lookUp: ReturnType<typeof createLookupHandler>;
  /** Lines in the making, the one that was begun first first: it ends first. */
  readonly #making: PlannedLine[] = [];

  constructor(
    services: PredictServices,
    { concurrency, budgetPerDay }: PredictionQuestion,
    priceOf: PriceOf,
  ) {
    this.#services = services;
    this.#concurrency = concurrency;
    this.priceOf = priceOf;
    const { tenants, calibration, compatibilityKey, prices } = services;
    this.#batch = new BatchTable(services);
    this.#spending = new BatchSpending(tenants);
    this.#admission = {
      tenants: this.#spending,
      budgetOf: async () => (budgetPerDay === null ? null : BigInt(budgetPerDay)),
      estimate: (steps) => estimateCost({ networkEvaluations: steps }, prices).total,
    };
    this.#lookUp = createLookupHandler({
      table: this.#batch,
      vectors: this.#batch,
      objects: this.#batch,
      calibration,
      compatibilityKey,
    });
  }

  /** Reads what is stored of a line, and plans it as if its turn were now. */
  async readAhead(request: GenerationRequest): Promise<LineAhead> {
    const present = await this.#services.table.getJob(request.videoId);
    if (present?.status === 'completed' || present?.deletedAt !== undefined) {
      return { request, present, planned: null };
    }
    const embedding = await embedPrompt(this.#services, request.prompt);
    const { expected } = this.#batch;
    const plan = await this.#plan(request, embedding);
    return { request, present, planned: { embedding, plan, expected } };
  }

  /** Begins a line once a place is free, as the run does. */
  async take({ request, present, planned }: LineAhead): Promise<void> {
    while (this.#making.length >= this.#concurrency) await this.#end(this.#making.shift()!);
    const wanted = { ...request, createdAt: new Date().toISOString() };
    let admitted: AdmittedLine;
    try {
      admitted = await admitLine(this.#admission, wanted, present);
    } catch (error) {
      if (!(error instanceof FlexCacheError) || error.transient) throw error;
      this.refused[error.code] = (this.refused[error.code] ?? 0) + 1;
      return;
    }
    if (planned === null) {
      this.alreadyThere += 1;
      return;
    }
    const { embedding, expected } = planned;
    const plan =
      expected === this.#batch.expected ? planned.plan : await this.#plan(request, embedding);
    this.plans.push(plan);
    const line = { request, embedding, plan, admitted };
    // Nothing is made of it: it gives its place back at once.
    if (plan.hit === 'exact') await this.#end(line);
    else this.#making.push(line);
  }

  async #plan(request: GenerationRequest, embedding: PromptEmbedding): Promise<Plan> {
    const embed = { embedding, seconds: 0, startedAt: 0, usage: { step: 'embed' as const } };
    return (await this.#lookUp({ request, embed })).plan;
  }

  async #end(line: PlannedLine): Promise<void> {
    const { admitted, plan } = line;
    if (admitted.is === 'to be made') {
      this.#spending.settle(admitted.reservation, this.priceOf(plan.steps));
    }
    const entry = await this.#entryOf(line);
    if (entry !== null) this.#batch.expect(entry);
  }

  /** The entry that a line would leave behind; null where its cache mode or its hit leaves none. */
  async #entryOf({ request, embedding, plan }: PlannedLine): Promise<Entry | null> {
    if (request.cache === 'off' || request.cache === 'readonly' || plan.hit === 'exact')
      return null;
    const donors = await Promise.all(
      plan.donors.map(async ({ entryId, similarity }) => ({
        similarity,
        entry: await this.#batch.getEntry(entryId),
      })),
    );
    return {
      ...askedOf(this.#services.compatibilityKey, request, embedding, donors),
      vectors:
        this.#services.traits?.separatesParts === false
          ? { ...embedding.vectors, object: null, background: null }
          : embedding.vectors,
      createdAt: '',
      gpuSeconds: 0,
      stepsRun: plan.equivalents,
      ...NO_OBJECTS,
    };
  }
}

interface PlannedLine {
  admitted: AdmittedLine;
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

function predictionOf(
  { readable, rejected, requests }: LineCounts,
  { plans, refused, alreadyThere, priceOf }: Forecast,
  measuredVideos: number,
): Prediction {
  const lookedAt = requests.length;
  const hits = noHits();
  const sums = { stepsRun: 0, stepsFull: 0, cost: 0n, costWithoutCache: 0n };
  for (const { hit, steps, equivalents, fullSteps } of plans) {
    hits[hit] += 1;
    sums.stepsRun += steps;
    sums.stepsFull += fullSteps;
    sums.cost += priceOf(roundEquivalents(equivalents));
    sums.costWithoutCache += priceOf(fullSteps);
  }
  const scale = (count: number): number =>
    lookedAt === 0 ? 0 : Math.round((count * readable) / lookedAt);
  const scaleMoney = (amount: bigint): string =>
    (lookedAt === 0 ? 0n : (amount * BigInt(readable)) / BigInt(lookedAt)).toString();
  return {
    lines: readable + rejected,
    rejected,
    refused: mapValues(refused, scale),
    alreadyThere: scale(alreadyThere),
    lookedAt,
    hits: mapValues(hits, scale),
    stepsRun: scale(sums.stepsRun),
    stepsFull: scale(sums.stepsFull),
    cost: scaleMoney(sums.cost),
    costWithoutCache: scaleMoney(sums.costWithoutCache),
    measuredVideos,
  };
}

function mapValues<Counts extends Partial<Record<string, number>>>(
  counts: Counts,
  scale: (count: number) => number,
): Counts {
  return Object.fromEntries(
    Object.entries(counts).map(([name, count]) => [name, scale(count!)]),
  ) as Counts;
}

export const handler = lazily(async () => {
  const modelPackage = await deployedModel(EMBEDDER_FILES);
  const answer = createPredictHandler({
    // A Lambda handles one request at a time: a thread would only cost its start.
    ...(await openPromptModels(modelPackage, { inThread: false })),
    table: deployedTable(),
    tenants: deployedTenants(),
    vectors: deployedVectors(),
    objects: deployedObjects(),
    uploads: new S3ForeignObjects({ bucket: variable(ENVIRONMENT.latentsBucket) }),
    ...(await deployedRules(modelPackage)),
    modelRevision: modelPackage.revision,
    steps: modelPackage.manifest.scheduler.steps,
    capabilities: capabilitiesOf(modelPackage.manifest),
    prices: deployedPrices(),
    time: deployedBackfillTime(),
  });
  return observed('predict', deployedTelemetry(), answer);
});
