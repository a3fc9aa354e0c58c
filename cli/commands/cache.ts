import { LOOKUP_PARTS } from '#core/generation.ts';
import type { Entry } from '#core/generation.ts';
import { validateVideoId } from '#core/requests/request.ts';
import type { Explanation } from '#retention/explanation.ts';
import type { EmbeddedCloud } from '#local/embedded-cloud.ts';
import { removeEntry } from '#ports/remove-entry.ts';
import { EXIT } from '../context.ts';
import type { CliContext, ExitCode, GlobalOptions } from '../context.ts';
import { collect } from '../collect.ts';
import { fittedTable, type Column } from '../fitted-table.ts';
import { withTable, type OpenedTable, type TenantOptions } from '../open-tenants.ts';
import { printable } from '../printable.ts';
import { dollars, rounded } from '../retention/amounts.ts';
import { describeExplanation } from '../retention/describe-explanation.ts';
import { entryNotFound, explainerOf } from '../retention/explain.ts';
import { withCloud } from '../with-cloud.ts';

export interface CacheOptions extends GlobalOptions {
  json?: boolean;
}

/** They need no more than the table: that of the state folder, whoever holds it, or a deployed one. */
export type CacheTableOptions = TenantOptions;

type EntryTable = Pick<EmbeddedCloud['table'], 'scanEntries' | 'getEntry' | 'pinEntry'>;

export interface ListOptions extends CacheTableOptions {
  /** Every column, whole, however wide the terminal is. */
  wide?: boolean;
}

/** Where no terminal says how wide it is. */
const DEFAULT_COLUMNS = 80;

type EntryRow = { entry: Entry } & ReturnType<typeof valueOf>;

const DAY_CHARACTERS = '2026-11-22'.length;

const COLUMNS: readonly Column<EntryRow>[] = [
  { head: 'id', align: 'left', rank: 0, cell: ({ entry }) => entry.entryId },
  {
    head: 'state',
    align: 'left',
    rank: 6,
    cell: ({ entry }) => (entry.pinnedAt === undefined ? entry.state : `${entry.state}, pinned`),
  },
  { head: 'class', align: 'left', rank: 9, cell: ({ storageClass }) => storageClass ?? '-' },
  {
    head: 'prompt',
    align: 'left',
    rank: 1,
    isCut: true,
    cell: ({ entry }) => printable(entry.prompt),
  },
  { head: 'parts', align: 'left', rank: 8, cell: ({ entry }) => partsOf(entry).join(' ') },
  { head: 'hits', align: 'right', rank: 2, cell: ({ entry }) => String(entry.hits) },
  { head: 'saved', align: 'right', rank: 10, cell: ({ saved }) => rounded(saved) },
  {
    head: 'worth',
    align: 'right',
    rank: 3,
    cell: ({ worth }) => (worth === null ? '-' : dollars(worth)),
  },
  {
    head: 'rent',
    align: 'right',
    rank: 4,
    cell: ({ rent }) => (rent === null ? '-' : dollars(rent)),
  },
  { head: 'bytes', align: 'right', rank: 7, cell: ({ entry }) => String(entry.latentBytes) },
  {
    head: 'made',
    align: 'left',
    rank: 5,
    cell: ({ entry }) => entry.createdAt.slice(0, DAY_CHARACTERS),
  },
];

/** Lists the entries, oldest first, with what each is worth and costs. */
export async function listEntries(context: CliContext, options: ListOptions): Promise<ExitCode> {
  return withTable(context, options, 'read', async (opened) => {
    const entries = await collect((await tableOf(opened)).scanEntries());
    entries.sort((one, other) => one.createdAt.localeCompare(other.createdAt));
    const explainer = await explainerOf(opened);
    if (options.json) {
      for (const entry of entries) {
        const report = entryReport(entry, await explainer.ofEntry(entry));
        context.stdout.write(`${JSON.stringify(report)}\n`);
      }
      return EXIT.success;
    }
    const rows: EntryRow[] = [];
    for (const entry of entries) {
      rows.push({ entry, ...valueOf(entry, await explainer.ofEntry(entry)) });
    }
    const width = options.wide ? undefined : (context.columns ?? DEFAULT_COLUMNS);
    const { text, leftOut } = fittedTable(COLUMNS, rows, width);
    const bytes = entries.reduce((sum, entry) => sum + entry.latentBytes, 0);
    context.stdout.write(`${text}\n${entries.length} entries, ${bytes} bytes of latents\n`);
    if (leftOut.length > 0) {
      context.stderr.write(`flexcache: left out ${leftOut.join(', ')}: --wide shows all columns\n`);
    }
    return EXIT.success;
  });
}

/** Shows one entry, and why it stays or leaves. */
export async function showEntry(
  context: CliContext,
  id: string,
  options: CacheTableOptions,
): Promise<ExitCode> {
  const entryId = validateVideoId(id);
  return withTable(context, options, 'read', async (opened) => {
    const entry = await (await tableOf(opened)).getEntry(entryId);
    if (entry === null || entry.state === 'TOMBSTONE') throw entryNotFound(entryId);
    const explanation = await (await explainerOf(opened)).ofEntry(entry);
    const report = entryReport(entry, explanation);
    if (options.json) {
      context.stdout.write(`${JSON.stringify({ ...report, explanation })}\n`);
      return EXIT.success;
    }
    const names = Object.keys(report);
    const width = Math.max(...names.map((name) => name.length));
    for (const [name, value] of Object.entries(report)) {
      context.stdout.write(`${name.padEnd(width)}  ${value ?? '-'}\n`);
    }
    context.stdout.write(`\n${describeExplanation(explanation).join('\n')}\n`);
    return EXIT.success;
  });
}

/** Keeps an entry whatever it costs, or lets it pay its rent again like the rest. */
export async function pinEntry(
  context: CliContext,
  id: string,
  isPinned: boolean,
  options: CacheTableOptions,
): Promise<ExitCode> {
  const entryId = validateVideoId(id);
  return withTable(context, options, 'change', async (opened) => {
    const entry = await (await tableOf(opened)).pinEntry(entryId, isPinned);
    const { pinnedAt = null } = entry;
    context.stdout.write(
      options.json
        ? `${JSON.stringify({ id: entryId, pinned: pinnedAt !== null, pinnedAt })}\n`
        : `${pinnedAt === null ? 'unpinned' : 'pinned'} ${entryId}\n`,
    );
    return EXIT.success;
  });
}

/** Takes an entry out of the cache; its video stays. This process holds the state folder alone. */
export async function removeCacheEntry(
  context: CliContext,
  id: string,
  options: CacheOptions,
): Promise<ExitCode> {
  const entryId = validateVideoId(id);
  return withCloud(context, { ...options, stateUse: 'change' }, async (cloud) => {
    const entry = await removeEntry(cloud, entryId);
    if (entry === null) throw entryNotFound(entryId);
    context.stdout.write(
      options.json
        ? `${JSON.stringify({ id: entryId, removed: true, bytes: entry.latentBytes })}\n`
        : `removed ${entryId}, ${entry.latentBytes} bytes of latent\n`,
    );
    return EXIT.success;
  });
}

/** The table's client is large: commands that do without it start without it. */
async function tableOf({ connection }: OpenedTable): Promise<EntryTable> {
  const { DynamoTable } = await import('#aws/dynamo-table.ts');
  return new DynamoTable(connection);
}

/** What an entry has saved lately, network evaluations, and is expected to save and cost, dollars a month. */
function valueOf(entry: Entry, { numbers }: Explanation) {
  return {
    storageClass: entry.storageClass ?? numbers?.storageClass ?? null,
    saved: numbers?.decayedCredit ?? 0,
    worth: numbers?.valuePerMonthUsd ?? null,
    rent: numbers?.rentPerMonthUsd.total ?? null,
  };
}

/** An entry without its vectors, which say nothing to a person. */
function entryReport(
  entry: Entry,
  explanation: Explanation,
): Record<string, string | number | null> {
  const { storageClass, saved, worth, rent } = valueOf(entry, explanation);
  return {
    id: entry.entryId,
    state: entry.state,
    prompt: entry.prompt,
    object: entry.objectPhrase,
    background: entry.backgroundPhrase,
    seed: entry.seed,
    parts: partsOf(entry).join(' '),
    hits: entry.hits,
    lastHitAt: entry.lastHitAt ?? null,
    savedEvaluations: saved,
    worthPerMonth: worth,
    rentPerMonth: rent,
    verdict: explanation.verdict,
    pinnedAt: entry.pinnedAt ?? null,
    leaseUntil: entry.leaseUntil === undefined ? null : new Date(entry.leaseUntil).toISOString(),
    reuseDepth: entry.reuseDepth,
    steps: entry.stepsRun,
    gpuSeconds: entry.gpuSeconds,
    latent: entry.latentKey,
    latentBytes: entry.latentBytes,
    storageClass,
    video: entry.videoKey,
    videoBytes: entry.videoBytes,
    tenant: entry.tenant,
    scope: entry.scope,
    compatibilityKey: entry.compatibilityKey,
    createdAt: entry.createdAt,
  };
}

function partsOf(entry: Entry): string[] {
  return LOOKUP_PARTS.filter((part) => entry.vectors[part] !== null);
}
