import type { ObjectHead } from '#ports/objects.ts';
import type { Sweep } from './sweep.ts';

/** Deletes an orphan and counts it. */
export async function removeObject(
  { stores, summary, change }: Sweep,
  { key, bytes }: ObjectHead,
): Promise<void> {
  await change(() => stores.objects.delete(key));
  summary.orphanedObjects++;
  summary.orphanedBytes += bytes;
}
