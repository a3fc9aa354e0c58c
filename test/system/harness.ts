import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { checkState, openState, type StateCheck } from '#local/check-state.ts';

/** The same two prompts everywhere; few steps, for the weights do not matter here. */
export const BALL = 'a small blue ball rising over the ocean at dawn';
export const STAR = 'a large red star falling in front of a brick wall at dusk';

/** A folder of the running test; it goes when the test ends. */
export async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'flexcache-system-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

export async function writeList(folder: string, requests: readonly object[]): Promise<void> {
  const lines = requests.map((request) => `${JSON.stringify(request)}\n`);
  await writeFile(join(folder, 'list.jsonl'), lines.join(''));
}

export async function checked(stateDirectory: string): Promise<StateCheck> {
  await using state = await openState(stateDirectory);
  return await checkState(state);
}

/** What costs somebody something; leftovers of interrupted runs do not. */
export function problemsOf({ findings }: StateCheck): string[] {
  return findings
    .filter(({ severity }) => severity === 'problem')
    .map(({ kind, message }) => `${kind}: ${message}`);
}
