import { join } from 'node:path';
import type { Entry } from '#core/generation.ts';
import { openState } from '#local/check-state.ts';
import { openStateFolder } from '#local/state-folder.ts';
import { storeEntry } from '../functions/retention-fixture.ts';

/** Where the commands of a test keep their state. */
export function stateOf(folder: string): string {
  return join(folder, '.flexcache');
}

export const DAY = 24 * 3_600_000;

/** Makes the state folder of a test as one that was opened once and in which nothing happened. */
export async function withEmptyState(folder: string): Promise<void> {
  const state = await openStateFolder(stateOf(folder));
  await state.release();
}

/** An id as the commands take it. */
export function videoId(number: number): string {
  return `vid_${String(number).padStart(26, '0')}`;
}

/** ISO date so many days ago. */
export function daysAgo(days: number): string {
  return new Date(Date.now() - days * DAY).toISOString();
}

/** Puts whole entries into the state folder of a test: records, latents and vectors, all unlike. */
export async function withEntries(
  folder: string,
  entries: readonly Partial<Entry>[],
): Promise<Entry[]> {
  await using state = await openState(stateOf(folder));
  const stored: Entry[] = [];
  for (const [index, entry] of entries.entries()) {
    const entryId = videoId(index + 1);
    const angle = index + 1;
    const vectors = {
      whole: [Math.cos(angle), Math.sin(angle), 0, 0],
      object: null,
      background: null,
    };
    const keys = { latentKey: `latents/${entryId}/1.fcl`, videoKey: `videos/${entryId}/1.mp4` };
    stored.push(await storeEntry(state, {}, { entryId, vectors, ...keys, ...entry }));
  }
  return stored;
}
