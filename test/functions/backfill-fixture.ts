import type { Backfill } from '#core/requests/backfill.ts';
import { randomBackfillId } from '#core/requests/identity.ts';
import type { BackfillItem, ReadableItem } from '#functions/shared/backfill-states.ts';
import type { ExternalObjects } from '#aws/external-objects.ts';
import type { BackfillTable } from '#ports/backfills.ts';
import { MemoryObjects } from '../denoiser/fakes.ts';
import { sampleBackfill, unique } from '../aws/samples.ts';

/** Objects in memory that can be listed, in the order in which they were put. */
export class ListedObjects extends MemoryObjects implements ExternalObjects {
  async *list(prefix: string) {
    for (const [index, [key, body]] of [...this.bodies].entries()) {
      if (!key.startsWith(prefix)) continue;
      yield { key, bytes: body.byteLength, sha256: '', modifiedAt: index };
    }
  }

  async *read(key: string): AsyncGenerator<Uint8Array> {
    const body = await this.get(key);
    // In pieces, as from a network.
    for (let start = 0; start < body.length; start += 10) yield body.subarray(start, start + 10);
  }

  putText(key: string, text: string): void {
    this.bodies.set(key, Buffer.from(text));
  }
}

export async function storedBackfill(
  backfills: BackfillTable,
  changes: Partial<Backfill> = {},
): Promise<Backfill> {
  const made = sampleBackfill({
    backfillId: randomBackfillId(),
    tenant: unique('tenant-'),
    ...changes,
  });
  return (await backfills.createBackfill(made)).backfill;
}

export function readableItem(changes: Partial<ReadableItem> = {}): ReadableItem {
  return {
    line: 1,
    idempotencyKey: unique('line-'),
    prompt: 'a red ball over the sea',
    seed: 7,
    cache: 'auto',
    steps: 12,
    ...changes,
  };
}

export const BROKEN_ITEM: BackfillItem = {
  line: 2,
  text: 'nonsense',
  error: {
    code: 'invalid_input',
    message: 'the line is not JSON',
    field: 'line',
    fix: 'write {"prompt": "..."}',
  },
};
