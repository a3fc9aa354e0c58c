import { costBy } from '#functions/shared/deployed-prices.ts';
import { afterAll, beforeAll } from 'vitest';
import { DefaultCalibration, startPoint } from '#core/planning/calibration.ts';
import type { Entry, GenerationRequest, GenerationResult, Job } from '#core/generation.ts';
import { exactKey, promptKey } from '#core/requests/identity.ts';
import { DEFAULT_PRICE_REGION, priceBookOf } from '#core/pricing/prices.ts';
import type { Services } from '#functions/shared/services.ts';
import type { CommitInput, LookupInput } from '#functions/shared/states.ts';
import { startTableServer, type TableServer } from '#local/table-server.ts';
import type { TextEmbedder } from '#models/model.ts';
import type { PromptSplitter } from '#models/prompt-splitter.ts';
import type { PromptReader } from '#models/tokenizer.ts';
import { DynamoBackfillTable } from '#aws/dynamo-backfills.ts';
import { DynamoPaceTable } from '#aws/dynamo-pace-table.ts';
import { DynamoTenantTable } from '#aws/dynamo-tenants.ts';
import type { Notification, NotificationQueue } from '#ports/notifications.ts';
import type { ObjectHead } from '#ports/objects.ts';
import type { Table } from '#ports/table.ts';
import { meterUse } from '#ports/usage-meter.ts';
import { meterVectorPut } from '#ports/vector-records.ts';
import type { VectorIndex, VectorMatch, VectorRecord, VectorScope } from '#ports/vector-index.ts';
import { SAMPLE_FACTS, sampleEntry, sampleJob, sampleRequest } from '../aws/samples.ts';

export const COMPATIBILITY_KEY = 'compatible';

/** Says a vector for each text; texts that it does not know are orthogonal to the rest. */
export class FakeEmbedder implements TextEmbedder {
  readonly texts: string[] = [];

  async embedText(text: string) {
    this.texts.push(text);
    return {
      vector: Float32Array.of(1 / Math.sqrt(2), 1 / Math.sqrt(2), 0, 0),
      partLogits: { data: new Float32Array(0), shape: [0, 3] },
    };
  }

  async close(): Promise<void> {}
}

export const halves: PromptSplitter = {
  async split(prompt) {
    const [objectPhrase = null, backgroundPhrase = null] = prompt.split(' over ');
    return { objectPhrase, backgroundPhrase };
  },
};

/** Of a model that takes in every text. */
export const TAKES_ALL: PromptReader = {
  readingOf: () => ({ unknownWords: [], cutTokens: 0, cutWords: [] }),
};

/** Answers what a test put in, whatever the vector; counts calls. */
export class FakeVectors implements VectorIndex {
  readonly matches: Partial<Record<VectorScope['part'], VectorMatch[]>> = {};
  readonly queries: VectorScope[] = [];
  readonly records = new Map<string, VectorRecord>();

  async put(records: readonly VectorRecord[]): Promise<void> {
    meterVectorPut(records);
    for (const record of records) this.records.set(`${record.part}#${record.entryId}`, record);
  }

  async query(scope: VectorScope): Promise<VectorMatch[]> {
    this.queries.push(scope);
    meterUse({ vectorQueries: 1 });
    return this.matches[scope.part] ?? [];
  }

  async delete(_entryIds: readonly string[]): Promise<void> {}

  async *list(): AsyncIterable<string> {}
}

/** Every video is there but those that a test takes away. */
export class FakeVideos {
  readonly gone = new Set<string>();

  async head(key: string): Promise<ObjectHead | null> {
    meterUse({ objectGets: 1 });
    return this.gone.has(key) ? null : { key, bytes: 1000, sha256: '', modifiedAt: 0 };
  }
}

/** Keeps what was announced. */
export class RecordingNotifications implements NotificationQueue {
  readonly sent: Notification[] = [];

  async send(notification: Notification): Promise<void> {
    this.sent.push(notification);
  }
}

let server: TableServer;

/** The real table on an embedded server, once for a test file. */
export function useTable(): () => Table {
  beforeAll(async () => {
    server = await startTableServer();
  });
  afterAll(() => server.close());
  return () => server.table;
}

/** Tenants and backfills are those of the server of `useTable`. */
export function servicesOn(
  table: Table,
  vectors: VectorIndex = new FakeVectors(),
): Services & { notifications: RecordingNotifications; objects: FakeVideos } {
  return {
    tenants: new DynamoTenantTable(server.connection),
    backfills: new DynamoBackfillTable(server.connection),
    notifications: new RecordingNotifications(),
    pace: new DynamoPaceTable(server.connection),
    costOf: costBy(priceBookOf(DEFAULT_PRICE_REGION)),
    table,
    vectors,
    objects: new FakeVideos(),
    embedder: new FakeEmbedder(),
    splitter: halves,
    reader: TAKES_ALL,
    calibration: new DefaultCalibration({ whole: 0.8, object: 0.8, background: 0.8 }),
    compatibilityKey: COMPATIBILITY_KEY,
  };
}

/** The table with some of its methods replaced. */
export function tableWith(table: Table, replaced: Partial<Table>): Table {
  return new Proxy(table, {
    get(target, name) {
      const replacement = Reflect.get(replaced, name) as unknown;
      if (replacement !== undefined) return replacement;
      const value = Reflect.get(target, name, target) as unknown;
      return typeof value === 'function' ? (value.bind(target) as unknown) : value;
    },
  });
}

/** A running job and its request. */
export async function submit(
  table: Table,
  changes: Partial<GenerationRequest> = {},
  job: Partial<Job> = {},
): Promise<GenerationRequest> {
  const request = sampleRequest(changes);
  await table.createJob(sampleJob({ ...request, compatibilityKey: COMPATIBILITY_KEY, ...job }));
  await table.startJob(request.videoId);
  return request;
}

/** Of every prompt that is looked up. */
const PROMPT_VECTORS = { whole: [1, 0, 0, 0], object: [0, 1, 0, 0], background: [0, 0, 1, 0] };

export function lookupInput(request: GenerationRequest): LookupInput {
  return {
    request,
    embed: {
      embedding: {
        objectPhrase: 'a red ball',
        backgroundPhrase: 'the sea',
        vectors: PROMPT_VECTORS,
      },
      seconds: 0.1,
      usage: { step: 'embed', lambdaMilliseconds: 100 },
      startedAt: Date.now(),
    },
  };
}

export function generationOf(
  request: GenerationRequest,
  changes: Partial<GenerationResult> = {},
): GenerationResult {
  const { videoId } = request;
  return {
    videoKey: `videos/${videoId}/1.mp4`,
    posterKey: `videos/${videoId}/1.png`,
    animationKey: `videos/${videoId}/1.webp`,
    spritesheetKey: `videos/${videoId}/1.jpg`,
    facts: SAMPLE_FACTS,
    videoBytes: 1000,
    latentKey: `latents/${videoId}/1.fcl`,
    latentBytes: 500,
    latentSha256: '00ff',
    vectors: { whole: [0, 0, 0, 1], object: [0, 1, 0, 0], background: null },
    hit: 'miss',
    donors: [],
    startTime: 1,
    anchor: 'none',
    stepsRun: 12,
    equivalentsRun: 12,
    seconds: { queue: 0.5, generate: 2 },
    usage: {
      step: 'generate',
      gpuSeconds: 2,
      networkEvaluations: 12,
      instanceType: 'g6.xlarge',
      purchaseOption: 'spot',
    },
    ...changes,
  };
}

export function commitInput(
  request: GenerationRequest,
  generation: GenerationResult = generationOf(request),
): CommitInput {
  return {
    ...lookupInput(request),
    lookup: {
      plan: {
        hit: 'miss',
        donors: [],
        ...startPoint(1, 12),
        fullSteps: 12,
        seed: request.seed,
        exactVideoId: null,
      },
      seconds: 0.2,
      usage: { step: 'lookup', vectorQueries: 3 },
    },
    generation,
  };
}

/** A stored entry of this tenant and model; with the keys of `of`, when given, and showing its prompt. */
export async function storedEntry(
  table: Table,
  changes: Partial<Entry> = {},
  of?: GenerationRequest,
): Promise<Entry> {
  const partition = {
    compatibilityKey: COMPATIBILITY_KEY,
    scope: changes.scope ?? of?.scope ?? 'tenant',
    tenant: changes.tenant ?? of?.tenant ?? 'default',
  } as const;
  const entry = sampleEntry({
    ...partition,
    ...(of && {
      exactKey: exactKey({ ...of, ...partition }),
      promptKey: promptKey({ ...of, ...partition }),
      vectors: PROMPT_VECTORS,
    }),
    ...changes,
  });
  await table.putEntry(entry);
  return entry;
}
