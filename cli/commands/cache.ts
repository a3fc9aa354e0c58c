import Table from 'cli-table3';
import { FlexCacheError } from '#core/errors.ts';
import { LOOKUP_PARTS } from '#core/generation.ts';
import type { Entry } from '#core/generation.ts';
import { validateVideoId } from '#core/request.ts';
import type { EmbeddedCloud } from '#local/embedded-cloud.ts';
import { removeEntry } from '#stores/remove-entry.ts';
import { EXIT } from '../context.ts';
import type { CliContext, ExitCode, GlobalOptions } from '../context.ts';
import { collect } from '../collect.ts';
import { withCloud } from '../with-cloud.ts';

export interface CacheOptions extends GlobalOptions {
  json?: boolean;
}

/** Lists the entries, oldest first. */
export async function listEntries(context: CliContext, options: CacheOptions): Promise<ExitCode> {
  return withCloud(context, options, async (cloud) => {
    const entries = await collect(cloud.table.scanEntries());
    entries.sort((one, other) => one.createdAt.localeCompare(other.createdAt));
    if (options.json) {
      for (const entry of entries) context.stdout.write(`${JSON.stringify(entryReport(entry))}\n`);
      return EXIT.success;
    }
    const table = new Table({
      head: ['id', 'state', 'prompt', 'parts', 'hits', 'bytes', 'made'],
      style: { head: [], border: [], compact: true },
      colAligns: ['left', 'left', 'left', 'left', 'right', 'right', 'left'],
    });
    for (const entry of entries) {
      table.push([
        entry.entryId,
        entry.state,
        entry.prompt,
        partsOf(entry).join(' '),
        entry.hits,
        entry.latentBytes,
        entry.createdAt,
      ]);
    }
    const bytes = entries.reduce((sum, entry) => sum + entry.latentBytes, 0);
    context.stdout.write(
      `${table.toString()}\n${entries.length} entries, ${bytes} bytes of latents\n`,
    );
    return EXIT.success;
  });
}

export async function showEntry(
  context: CliContext,
  id: string,
  options: CacheOptions,
): Promise<ExitCode> {
  const entryId = validateVideoId(id);
  return withCloud(context, options, async (cloud) => {
    const report = entryReport(await findEntry(cloud, entryId));
    if (options.json) {
      context.stdout.write(`${JSON.stringify(report)}\n`);
      return EXIT.success;
    }
    const names = Object.keys(report);
    const width = Math.max(...names.map((name) => name.length));
    for (const [name, value] of Object.entries(report)) {
      context.stdout.write(`${name.padEnd(width)}  ${value ?? '-'}\n`);
    }
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
  return withCloud(context, options, async (cloud) => {
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

async function findEntry(cloud: EmbeddedCloud, entryId: string): Promise<Entry> {
  const entry = await cloud.table.getEntry(entryId);
  if (entry === null || entry.state === 'TOMBSTONE') throw entryNotFound(entryId);
  return entry;
}

function entryNotFound(entryId: string): FlexCacheError {
  return new FlexCacheError('not_found', `entry ${entryId} is not in the cache`, {
    field: 'id',
    fix: 'list what is there with flexcache cache ls',
  });
}

/** An entry without its vectors, which say nothing to a person. */
function entryReport(entry: Entry): Record<string, string | number | null> {
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
    leaseUntil: entry.leaseUntil === undefined ? null : new Date(entry.leaseUntil).toISOString(),
    generation: entry.generation,
    steps: entry.stepsRun,
    gpuSeconds: entry.gpuSeconds,
    latent: entry.latentKey,
    latentBytes: entry.latentBytes,
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
