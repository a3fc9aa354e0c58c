import { existsSync } from 'node:fs';
import {
  cp,
  mkdir,
  open,
  readdir,
  readFile,
  rm,
  symlink,
  truncate,
  writeFile,
} from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test, vi } from 'vitest';
import { printedObjects, runFlexcache } from '../../bench/run-flexcache.ts';
import { BALL, STAR, temporaryFolder } from './harness.ts';

vi.setConfig({ testTimeout: 120_000 });

const PACKAGE = join(import.meta.dirname, '..', '..', 'containers', 'demo-model', 'package');

describe('a request that cannot be made', () => {
  test.each([
    { code: 'prompt_empty', about: 'no prompt', args: ['generate', ''] },
    { code: 'prompt_empty', about: 'white space', args: ['generate', ' \t\n '] },
    { code: 'prompt_too_long', about: '10,000 characters', args: ['generate', 'a'.repeat(10_000)] },
    { code: 'prompt_without_words', about: 'emoji only', args: ['generate', '🎈🎉'] },
    { code: 'invalid_input', about: 'seed -1', args: ['generate', BALL, '--seed', '-1'] },
    {
      code: 'invalid_input',
      about: 'seed too large',
      args: ['generate', BALL, '--seed', '4294967296'],
    },
    { code: 'invalid_input', about: 'steps 0', args: ['generate', BALL, '--steps', '0'] },
    {
      code: 'invalid_input',
      about: 'unknown cache mode',
      args: ['generate', BALL, '--cache', 'sometimes'],
    },
    { code: 'invalid_input', about: 'a folder as --out', args: ['generate', BALL, '--out', '.'] },
    { code: 'invalid_input', about: 'no argument', args: ['generate'] },
    { code: 'invalid_input', about: 'no such file', args: ['backfill', 'nowhere.txt'] },
    { code: 'invalid_input', about: 'a folder as FILE', args: ['backfill', 'folder.txt'] },
    { code: 'invalid_input', about: 'a binary file', args: ['backfill', 'binary.jsonl'] },
    { code: 'invalid_input', about: 'a file of no known kind', args: ['backfill', 'video.mp4'] },
  ])(
    'is refused with $code in one line, before anything is begun ($about)',
    async ({ code, args }) => {
      const folder = await temporaryFolder();
      await mkdir(join(folder, 'folder.txt'));
      await writeFile(join(folder, 'binary.jsonl'), Buffer.from([0x7f, 0x45, 0, 0x0a, 1, 0x0a, 2]));
      await writeFile(join(folder, 'video.mp4'), '');

      const { exitCode, stdout, stderr } = await runFlexcache(folder, ...args);

      expect(exitCode).toBe(2);
      expect(stderr).toMatch(new RegExp(`^flexcache: ${code}: [^\\n]+\\n$`));
      expect(stdout).toBe('');
      expect(existsSync(join(folder, '.flexcache'))).toBe(false);
    },
  );
});

test('a bad line in the middle of a list is reported and the lines around it are made', async () => {
  const folder = await temporaryFolder();
  const lines = [
    { prompt: BALL, seed: 1, steps: 1 },
    { prompt: BALL, seed: -1 },
    'nonsense',
    { prompt: '🎈' },
    { prompt: STAR, seed: 1, steps: 1 },
  ].map((line) => (typeof line === 'string' ? line : JSON.stringify(line)));
  await writeFile(join(folder, 'list.jsonl'), lines.join('\n'));

  const outcome = await runFlexcache(folder, 'backfill', 'list.jsonl', '--json');

  expect(outcome.exitCode).toBe(1);
  expect(outcome.stderr.split('\n')).toEqual([
    expect.stringMatching(/^flexcache: invalid_input: line 2: seed -1 /),
    expect.stringMatching(/^flexcache: invalid_input: line 3: the line is not JSON/),
    expect.stringMatching(/^flexcache: prompt_without_words: line 4: /),
    '',
  ]);
  expect(printedObjects(outcome).map(({ line, status }) => [line, status])).toEqual([
    [1, 'completed'],
    [2, 'failed'],
    [3, 'failed'],
    [4, 'failed'],
    [5, 'completed'],
  ]);
});

/** The shipped package, its files linked but for those that are to be damaged. */
async function packageCopy(folder: string, ...own: string[]): Promise<string> {
  const copy = join(folder, 'package');
  await mkdir(copy);
  for (const name of await readdir(PACKAGE)) {
    if (own.includes(name)) await cp(join(PACKAGE, name), join(copy, name));
    else await symlink(join(PACKAGE, name), join(copy, name));
  }
  return copy;
}

describe('a model package', () => {
  test.each([
    [
      'with a flipped byte',
      'denoiser.onnx',
      'model_corrupt',
      async (path: string) => {
        const file = await open(path, 'r+');
        await file.write(Buffer.from([0xa5, 0x5a, 0xa5]), 0, 3, 1_000_000);
        await file.close();
      },
    ],
    [
      'with a truncated file',
      'vae-decoder.onnx',
      'model_corrupt',
      (path: string) => truncate(path, 1000),
    ],
    ['with a missing file', 'text-tower.onnx', 'model_missing', (path: string) => rm(path)],
    [
      'with a wrong field',
      'model.json',
      'model_corrupt',
      async (path: string) => {
        const manifest = JSON.parse(await readFile(path, 'utf8')) as { latent: object };
        manifest.latent = { ...manifest.latent, channels: 'many' };
        await writeFile(path, JSON.stringify(manifest));
      },
    ],
    ['whose model.json is cut', 'model.json', 'model_corrupt', (path: string) => truncate(path, 9)],
    ['without model.json', 'model.json', 'model_missing', (path: string) => rm(path)],
  ])(
    '%s is refused by the name of %s, before any state is written',
    async (_, name, code, damage) => {
      const folder = await temporaryFolder();
      const model = await packageCopy(folder, name);
      await damage(join(model, name));

      const { exitCode, stderr } = await runFlexcache(folder, 'generate', BALL, '--model', model);

      expect(exitCode).toBe(1);
      expect(stderr).toMatch(new RegExp(`^flexcache: ${code}: [^\\n]+\\n$`));
      expect(stderr).toContain(name);
      expect(stderr).toMatch(/fetch or export the model package again/);
      expect(existsSync(join(folder, '.flexcache'))).toBe(false);
    },
  );
});
