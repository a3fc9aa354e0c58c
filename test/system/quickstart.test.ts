import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { promptField } from '#functions/shared/resources/schemas/fields.ts';
import { openEmbeddedCloud } from '#local/embedded-cloud.ts';
import { loadManifest } from '#models/manifest.ts';
import { PromptTokenizer } from '#models/tokenizer.ts';
import { DEMO_PACKAGE } from '../models/package-fixture.ts';
import { temporaryFolder } from './harness.ts';

const PROMPT = /(?:"prompt": |\bprompt: |generate )["']([^"'.]+)["']/gu;

/** Every prompt of README, the documentation and the API's schema. */
async function documentedPrompts(): Promise<string[]> {
  const pages = (await readdir('docs')).filter((name) => name.endsWith('.md'));
  const texts = await Promise.all(
    ['README.md', ...pages.map((name) => join('docs', name))].map((path) => readFile(path, 'utf8')),
  );
  const examples = promptField.meta()?.examples as string[];
  return [
    ...texts.flatMap((text) => [...text.matchAll(PROMPT)].map((match) => match[1]!)),
    ...examples,
  ];
}

describe('the prompts that the documentation shows', () => {
  it('have no word that the demo model does not know', async () => {
    // Prepare
    const tokenizer = await PromptTokenizer.open(await loadManifest(DEMO_PACKAGE));

    // Act
    const prompts = await documentedPrompts();

    // Assess
    expect(prompts.length).toBeGreaterThan(8);
    for (const prompt of prompts) {
      expect([prompt, tokenizer.readingOf(prompt).unknownWords]).toEqual([prompt, []]);
    }
  });

  it('are served as the API documentation says: the second from the whole of the first', async () => {
    // Prepare
    const page = await readFile('docs/api.md', 'utf8');
    const [curl, client] = [...page.matchAll(PROMPT)].map((match) => match[1]!);
    const cloud = await openEmbeddedCloud({
      stateDirectory: await temporaryFolder(),
      modelDirectory: DEMO_PACKAGE,
    });
    onTestFinished(() => cloud.close());

    // Act
    // A seed whose video shows all of its prompt: one that does not is no donor for the whole of it.
    const first = await cloud.generate({ prompt: curl!, seed: 3 });
    const second = await cloud.generate({ prompt: client!, seed: 7, maxReuse: 0.8 });
    const words = 'In a grassy meadow at noon, a tiny crimson sphere is hopping.';
    const third = await cloud.generate({ prompt: words, seed: 8 });

    // Assess
    const hits = [first, second, third].map(({ result }) => result!.hit);
    expect(hits).toEqual(['miss', 'whole', 'background']);
  }, 600_000);
});
