import type { ObjectStore } from '#ports/objects.ts';
import { readText, type ExternalObjects } from '#aws/external-objects.ts';
import type { BackfillItem, SubmitInput } from '../shared/backfill-states.ts';
import type { CaughtError } from '../shared/states.ts';

export type ItemResult =
  | { status: 'succeeded'; item: BackfillItem }
  | { status: 'failed'; item: BackfillItem; error: CaughtError };

const MANIFEST = 'manifest.json';

/** Manifest of a distributed map's result writer. */
interface Manifest {
  ResultFiles: Partial<Record<'SUCCEEDED' | 'FAILED' | 'PENDING', { Key: string }[]>>;
}

/** A child execution in a result file. */
interface ChildExecution {
  Status: string;
  /** JSON. */
  Input?: string;
  Error?: string;
  Cause?: string;
}

/** Returns the object key of the latest run's manifest under a prefix; null if no run has ended. */
export async function latestManifest(
  objects: Pick<ObjectStore, 'list'>,
  prefix: string,
): Promise<string | null> {
  let latest: { key: string; modifiedAt: number } | null = null;
  for await (const { key, modifiedAt } of objects.list(`${prefix}/`)) {
    if (!key.endsWith(`/${MANIFEST}`)) continue;
    if (latest === null || modifiedAt >= latest.modifiedAt) latest = { key, modifiedAt };
  }
  return latest?.key ?? null;
}

/** Reads the result of each item that has a child execution. */
export async function* readResults(
  objects: ExternalObjects,
  manifestKey: string,
): AsyncGenerator<ItemResult> {
  const { ResultFiles: files } = JSON.parse(await readText(objects, manifestKey)) as Manifest;
  for (const { Key: key } of [...(files.SUCCEEDED ?? []), ...(files.FAILED ?? [])]) {
    for (const child of JSON.parse(await readText(objects, key)) as ChildExecution[]) {
      const result = resultOf(child);
      if (result !== null) yield result;
    }
  }
}

/** Returns null if the input was too large for the result file. */
function resultOf(child: ChildExecution): ItemResult | null {
  if (child.Input === undefined) return null;
  const { item } = JSON.parse(child.Input) as SubmitInput;
  if (child.Status === 'SUCCEEDED') return { status: 'succeeded', item };
  const { Error: name = `Execution.${child.Status}`, Cause: cause = '' } = child;
  return { status: 'failed', item, error: { Error: name, Cause: cause } };
}
