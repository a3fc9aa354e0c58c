/**
 * One pass over the cache, `runEvictionPass` as it is deployed, over synthetic entries: seconds of CPU and peak
 * memory, and how both grow.
 *
 *     node bench/evict-million.ts                      10,000 to 1,000,000 entries
 *     node bench/evict-million.ts --entries 100000     one size
 *     node bench/evict-million.ts --table 3000         entries in the embedded cloud's table instead
 *
 * Pages of the index are made up on the spot in the form in which DynamoDB's client hands them over, about
 * 1 MB each, so that decoding them is measured; the network, the client's own work on a request and
 * DynamoDB are not. What making pages up costs is measured by itself and shown beside it. Every size runs
 * in a process of its own: its peak is the largest resident size that the system has seen.
 */
import { spawnSync } from 'node:child_process';
import { parseArgs } from 'node:util';
import {
  GetItemCommand,
  QueryCommand,
  UpdateItemCommand,
  type AttributeValue,
  type DynamoDBClient,
} from '@aws-sdk/client-dynamodb';
import type { Entry } from '#core/generation.ts';
import { decayWeight } from '#core/retention/decay.ts';
import { priceBookOf } from '#core/pricing/prices.ts';
import { createRandomSource } from '#core/random.ts';
import type { RetentionRun } from '#core/retention/retention-run.ts';
import type { EvictSettings } from '#retention/evict-settings.ts';
import { pagesFrom } from '#retention/pages.ts';
import { BEGINNING } from '#retention/pass-state.ts';
import { runEvictionPass, type EvictionPassResult } from '#retention/run-eviction-pass.ts';
import { startTableServer } from '#local/table-server.ts';
import { DynamoRetentionTable } from '#aws/dynamo-retention-table.ts';
import { DynamoTable } from '#aws/dynamo-table.ts';
import { SEGMENTS } from '#ports/table.ts';
import type { RetentionState, RetentionTable } from '#ports/retention-table.ts';

const SIZES = [10_000, 31_623, 100_000, 316_228, 1_000_000];
const NOW = Date.UTC(2026, 10, 22);
const DAY = 24 * 3_600_000;
/** Entries in a megabyte of the index. */
const PAGE_ENTRIES = 2000;
/** One entry in so many shares its prompt and its vectors' signature with the one before. */
const ONE_DUPLICATE_IN = 50;

const SETTINGS: EvictSettings = {
  book: priceBookOf('us-east-1'),
  dimensions: 512,
  storageClass: 'INTELLIGENT_TIERING',
  budgetUsd: null,
  movesStorageClasses: false,
  onlyCompatibilityKey: null,
};

interface Measured {
  entries: number;
  /** Of user and system, of all threads. */
  cpuSeconds: number;
  /** Of it, what making the pages up takes. */
  generatorSeconds: number;
  wallSeconds: number;
  peakMegabytes: number;
  verdicts: RetentionRun['verdicts'];
}

const { values } = parseArgs({
  options: {
    entries: { type: 'string' },
    table: { type: 'string' },
    budget: { type: 'string' },
  },
});
function measureSizes(): void {
  const rows: Measured[] = [];
  console.log('entries     CPU s   of it pages   wall s   peak MB   left for rent   duplicates');
  for (const entries of SIZES) {
    const script = new URL(import.meta.url).pathname;
    const budget = values.budget === undefined ? [] : ['--budget', values.budget];
    const child = spawnSync(process.execPath, [script, '--entries', `${entries}`, ...budget], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const row = JSON.parse(child.stdout) as Measured;
    rows.push(row);
    const { cpuSeconds, generatorSeconds, wallSeconds, peakMegabytes, verdicts } = row;
    console.log(
      [
        entries.toLocaleString('en').padEnd(9),
        cpuSeconds.toFixed(2).padStart(7),
        generatorSeconds.toFixed(2).padStart(13),
        wallSeconds.toFixed(2).padStart(8),
        peakMegabytes.toFixed(0).padStart(9),
        `${verdicts?.rent?.count ?? 0}`.padStart(15),
        `${verdicts?.duplicate?.count ?? 0}`.padStart(12),
      ].join(''),
    );
  }
  const growth = (of: (row: Measured) => number): string => {
    const [first, last] = [rows.at(-3)!, rows.at(-1)!];
    return (Math.log(of(last) / of(first)) / Math.log(last.entries / first.entries)).toFixed(2);
  };
  console.log(`CPU grows as entries^${growth((row) => row.cpuSeconds)} over the last decade`);
  console.log(`peak memory grows as entries^${growth((row) => row.peakMegabytes)}`);
}

async function pass(entries: number): Promise<Measured> {
  const table = new DynamoTable({ tableName: 'synthetic', client: syntheticClient(entries) });
  const generatorSeconds = await cpuSecondsOf(async () => {
    // Two phases stream every page.
    for (let phase = 0; phase < 2; phase++) {
      for (let segment = 0; segment < SEGMENTS; segment++) {
        for (let index = 0; index * PAGE_ENTRIES < entriesOf(segment, entries); index++) {
          pageOf(segment, index * PAGE_ENTRIES, entries);
        }
      }
    }
  });
  // Decoded once, so that the compiler is warm for all sizes alike.
  for await (const page of pagesFrom(table, { ...BEGINNING, segment: SEGMENTS - 1 })) void page;
  const begin = performance.now();
  let evictionPass: EvictionPassResult | undefined;
  const cpuSeconds = await cpuSecondsOf(async () => {
    evictionPass = await runEvictionPass(
      {
        table,
        objects: { setStorageClass: async () => true },
        retention: new RetentionInMemory(),
      },
      { ...SETTINGS, budgetUsd: values.budget === undefined ? null : Number(values.budget) },
      { isForced: true, now: () => NOW },
    );
  });
  if (evictionPass?.outcome !== 'completed') throw new Error('the pass did not complete');
  return {
    entries,
    cpuSeconds,
    generatorSeconds,
    wallSeconds: (performance.now() - begin) / 1000,
    peakMegabytes: process.resourceUsage().maxRSS / 1024,
    verdicts: evictionPass.run.verdicts,
  };
}

async function cpuSecondsOf(work: () => Promise<void>): Promise<number> {
  const before = process.cpuUsage();
  await work();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1e6;
}

/** Answers what a pass asks of DynamoDB. */
function syntheticClient(entries: number): DynamoDBClient {
  const send = async (command: unknown): Promise<unknown> => {
    if (command instanceof QueryCommand) {
      const { ExpressionAttributeValues: given } = command.input;
      const segment = parseInt(given![':key']!.S!.slice('ENTRIES#'.length), 16);
      const from = given![':from']!.S!;
      const after =
        from.length > 'READY#'.length ? indexOfId(from.slice('READY#'.length, -1)) + 1 : 0;
      return pageOf(segment, after, entries);
    }
    // An entry moves.
    if (command instanceof UpdateItemCommand) return { Attributes: {} };
    // One of a group of duplicates is read: none of them is there any more.
    if (command instanceof GetItemCommand) return {};
    throw new Error('a pass asks for nothing else');
  };
  return { send, destroy() {} } as unknown as DynamoDBClient;
}

function entriesOf(segment: number, entries: number): number {
  return Math.floor((entries + SEGMENTS - 1 - segment) / SEGMENTS);
}

function pageOf(segment: number, from: number, entries: number) {
  const until = Math.min(from + PAGE_ENTRIES, entriesOf(segment, entries));
  const items = [];
  for (let index = from; index < until; index++) items.push(itemOf(segment, index));
  const isLast = until === entriesOf(segment, entries);
  return { Items: items, ...(!isLast && { LastEvaluatedKey: { pk: { S: 'more' } } }) };
}

function indexOfId(entryId: string): number {
  return Number(entryId.slice(-10));
}

/** Ages up to two years, most of them young; one in three was hit, few often; latents of 20 to 250 KB. */
function itemOf(segment: number, index: number): Record<string, AttributeValue> {
  const random = createRandomSource(index, `segment ${segment}`);
  const uniform = (): number => random.nextUint32() / 2 ** 32;
  const ageDays = 730 * uniform() ** 2;
  const createdAt = NOW - ageDays * DAY;
  const hits = uniform() < 0.33 ? Math.ceil(1 / (uniform() + 0.02)) : 0;
  const lastHitAt = createdAt + uniform() * (NOW - createdAt);
  const weight = decayWeight(lastHitAt);
  const id = `vid_${segment.toString(16).padStart(16, '0')}${String(index).padStart(10, '0')}`;
  const group = index % ONE_DUPLICATE_IN === 0 ? index - 1 : index;
  const hash = createRandomSource(group, 'group').nextUint32().toString(16).padStart(8, '0');
  const text = (value: string): AttributeValue => ({ S: value });
  const number = (value: number): AttributeValue => ({ N: String(value) });
  return {
    pk: text(`ENTRY#${id}`),
    sk: text('ENTRY'),
    segment: text(`ENTRIES#${segment.toString(16)}`),
    stateSort: text(`READY#${id}`),
    traits: text(`3.${hash}${hash}.${hash}${hash}.0123456789abcdef`),
    createdAt: text(new Date(createdAt).toISOString()),
    hits: number(hits),
    ...(hits > 0 && {
      lastHitAt: text(new Date(lastHitAt).toISOString()),
      previousHitAt: text(new Date(createdAt + (lastHitAt - createdAt) / 2).toISOString()),
      decayedHits: number(hits * weight * 0.7),
      decayedCredit: number(hits * weight * 4),
    }),
    neighbours: number(random.nextBelow(20)),
    latentBytes: number(20_000 + random.nextBelow(230_000)),
    videoBytes: number(400_000),
    reuseDepth: number(random.nextBelow(4)),
    gpuSeconds: number(110),
    denoiseSeconds: number(100),
    stepsRun: number(50),
  };
}

class RetentionInMemory implements RetentionTable {
  #state: RetentionState | null = null;

  async putRun(): Promise<void> {}

  async listRuns(): Promise<RetentionRun[]> {
    return [];
  }

  async getState(): Promise<RetentionState | null> {
    return this.#state;
  }

  async acquireLease(): Promise<boolean> {
    return true;
  }

  async putState(state: RetentionState): Promise<void> {
    this.#state = JSON.parse(JSON.stringify(state)) as RetentionState;
  }

  async releaseLease(): Promise<void> {}
}

/** The same through DynamoDB's client and the embedded cloud's table, both of which work much more than the pass. */
async function passOverTable(entries: number): Promise<void> {
  const server = await startTableServer();
  try {
    for (let index = 0; index < entries; index++) await server.table.putEntry(entryOf(index));
    const begin = performance.now();
    const cpuSeconds = await cpuSecondsOf(async () => {
      const evictionPass = await runEvictionPass(
        {
          table: server.table,
          objects: { setStorageClass: async () => true },
          retention: new DynamoRetentionTable(server.connection),
        },
        { ...SETTINGS, dimensions: 4 },
        { isForced: true, now: () => NOW },
      );
      if (evictionPass.outcome === 'completed')
        console.log(JSON.stringify(evictionPass.run.verdicts));
    });
    const wallSeconds = (performance.now() - begin) / 1000;
    console.log(
      `${entries} entries in the embedded table: ${cpuSeconds.toFixed(2)} s of CPU, table server included, ${wallSeconds.toFixed(2)} s`,
    );
  } finally {
    await server.close();
  }
}

function entryOf(index: number): Entry {
  const item = itemOf(index % SEGMENTS, Math.floor(index / SEGMENTS));
  const entryId = item['pk']!.S!.slice('ENTRY#'.length);
  const angle = index * 0.7;
  return {
    entryId,
    state: 'READY',
    tenant: 'default',
    scope: 'tenant',
    compatibilityKey: '0123456789abcdef',
    exactKey: entryId,
    promptKey: item['traits']!.S!.split('.')[2]!,
    prompt: 'a synthetic prompt',
    objectPhrase: null,
    backgroundPhrase: null,
    seed: index,
    latentKey: `latents/${entryId}/1.fcl`,
    latentBytes: Number(item['latentBytes']!.N),
    latentSha256: '00',
    videoKey: `videos/${entryId}/1.mp4`,
    posterKey: `videos/${entryId}/1.png`,
    animationKey: `videos/${entryId}/1.webp`,
    spritesheetKey: `videos/${entryId}/1.jpg`,
    videoBytes: 400_000,
    vectors: { whole: [Math.cos(angle), Math.sin(angle), 0, 0], object: null, background: null },
    reuseDepth: Number(item['reuseDepth']!.N),
    hits: 0,
    createdAt: item['createdAt']!.S!,
    neighbours: Number(item['neighbours']!.N),
    gpuSeconds: 110,
    denoiseSeconds: 100,
    stepsRun: 50,
  };
}

if (values.table !== undefined) await passOverTable(Number(values.table));
else if (values.entries !== undefined)
  console.log(JSON.stringify(await pass(Number(values.entries))));
else measureSizes();
