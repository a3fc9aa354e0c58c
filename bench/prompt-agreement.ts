import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import Table from 'cli-table3';
import type { HitKind } from '#core/generation.ts';
import { openEmbeddedCloud } from '#local/embedded-cloud.ts';
import { OTHER_MEANING, SAME_MEANING, type PromptPair } from './prompt-pairs.ts';

/**
 * How a prompt is served when a video of another prompt is all that is stored, through the whole product:
 * pairs of the same words with another meaning, of which none may be a `whole` hit, and pairs of other
 * words with the same meaning, most of which should be.
 *
 *     node bench/prompt-agreement.ts [--model DIR]
 */

const { values: flags } = parseArgs({
  options: { model: { type: 'string', default: 'containers/demo-model/package' } },
});

const stateDirectory = await mkdtemp(join(tmpdir(), 'flexcache-agreement-'));
const cloud = await openEmbeddedCloud({ stateDirectory, modelDirectory: flags.model });
try {
  const lists = { 'another meaning': OTHER_MEANING, 'the same meaning': SAME_MEANING };
  for (const [name, pairs] of Object.entries(lists)) {
    const hits = await ask(name, pairs);
    console.log(`${name}: ${hits.filter((hit) => hit === 'whole').length} of ${hits.length} whole`);
  }
} finally {
  await cloud.close();
  await rm(stateDirectory, { recursive: true, force: true });
}

/** Every pair has a tenant, and so a cache, of its own. */
async function ask(name: string, pairs: readonly PromptPair[]): Promise<HitKind[]> {
  const table = new Table({ head: ['stored', 'asked', 'hit', 'similarity'] });
  const hits: HitKind[] = [];
  for (const [index, [stored, asked]] of pairs.entries()) {
    const tenant = `${name.replaceAll(' ', '-')}-${index}`;
    await cloud.generate({ tenant, prompt: stored, seed: 1 });
    const { result } = await cloud.generate({ tenant, prompt: asked, seed: 2 });
    hits.push(result!.hit);
    const similarities = result!.donors.map(({ similarity }) => similarity.toFixed(3));
    table.push([stored, asked, result!.hit, similarities.join(' ')]);
  }
  console.log(table.toString());
  return hits;
}
