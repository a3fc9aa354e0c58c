import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { printable } from '#cli/printable.ts';
import { inProcess } from './harness.ts';
import { withEmptyState, withEntries } from './state-fixture.ts';

const LONG_PROMPT = 'a red ball in front of a brick wall at dusk '.repeat(14).trim();

describe('cache ls', () => {
  test.each([60, 80, 120, 200])('fits a terminal of %i characters', async (columns) => {
    const { flexcache, folder, terminal } = await inProcess();
    await withEntries(folder, [{ prompt: LONG_PROMPT }, { prompt: 'ein 球 '.repeat(40).trim() }]);
    terminal.columns = columns;

    const { stdout, stderr } = await flexcache('cache', 'ls');
    const wide = await flexcache('cache', 'ls', '--wide');

    for (const row of stdout.split('\n')) expect(row.length).toBeLessThanOrEqual(columns);
    expect(stdout).toMatch(/vid_0+1 │.* a red ball .*…/);
    expect(stderr.includes('--wide shows all columns')).toBe(columns < 200);
    expect(wide.stdout).toContain(LONG_PROMPT);
    expect(wide.stderr).toBe('');
  });

  test('fits 80 characters where stdout is no terminal', async () => {
    const { flexcache, folder } = await inProcess();
    await withEntries(folder, [{ prompt: LONG_PROMPT }]);

    const { stdout } = await flexcache('cache', 'ls');

    for (const row of stdout.split('\n')) expect(row.length).toBeLessThanOrEqual(80);
  });
});

describe('what is printed', () => {
  test('holds no control characters, and JSON means the same', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        const json = JSON.stringify({ text });

        expect(printable(text)).not.toMatch(/(?![\t\n]|\r\n)[\p{Cc}\u2028-\u202e\u2066-\u2069]/u);
        expect(JSON.parse(printable(json))).toEqual({ text });
      }),
    );
  });

  test('keeps the ends of lines as they are', () => {
    expect(printable('a,b\r\nc\rd\n')).toBe('a,b\r\nc\\u000dd\n');
  });

  test('a prompt cannot steer the terminal', async () => {
    const { flexcache, folder } = await inProcess();
    await withEntries(folder, [{ prompt: 'a \u001b[2J\u009b31m\u202e ball' }]);
    await writeFile(
      join(folder, 'a.jsonl'),
      '{"prompt": "\\u001b]0;owned\\u0007", "seed": "\\u001b[2J"}\n',
    );

    const outcomes = [
      await flexcache('cache', 'ls'),
      await flexcache('cache', 'show', `vid_${'1'.padStart(26, '0')}`),
      await flexcache('backfill', 'a.jsonl'),
      await flexcache('generate', 'a ball', '--seed', '\u001b[2J'),
      await flexcache('generate', 'a ball', '--cache', '\u001b[2J'),
    ];

    expect(outcomes[0]!.stdout).toContain(String.raw`a \u001b[2J`);
    for (const { stdout, stderr } of outcomes) {
      for (const character of ['\u001b', '\u0007', '\u009b', '\u202e']) {
        expect(stdout + stderr).not.toContain(character);
      }
    }
  });
});

test.each([
  ['state', ['generate', 'a ball', '--state', '']],
  ['model', ['generate', 'a ball', '--model', '']],
  ['out', ['generate', 'a ball', '--out', '']],
  ['out', ['backfill', 'list.txt', '--out', '']],
  ['out', ['demo', '--out', '']],
  ['out', ['report', '--out', '']],
  ['out', ['trace', 'generate', '--requests', '1', '--out', '']],
  ['embeddings', ['simulate', 'list.txt', '--embeddings', '']],
  ['embedder', ['simulate', 'list.txt', '--embedder', '']],
  ['table', ['cache', 'ls', '--table', '']],
  ['from', ['prices', 'update', '--region', 'us-east-1', '--from', '']],
  ['file', ['backfill', '']],
  ['trace', ['simulate', '']],
  ['state', ['--state', '', 'doctor']],
])('an empty %s is refused: %j', async (field, args) => {
  const { flexcache, clouds } = await inProcess();

  const { exitCode, stderr } = await flexcache(...args);

  expect(exitCode).toBe(2);
  expect(stderr).toBe(
    `flexcache: invalid_input: ${['file', 'trace'].includes(field) ? `<${field}>` : `--${field}`} is empty: give it a value, or leave it out\n`,
  );
  expect(clouds).toEqual([]);
});

test('--json of simulate and report is --format json, and beside --format it is refused', async () => {
  const { flexcache, folder } = await inProcess();
  await writeFile(join(folder, 'list.txt'), 'a red ball over a meadow at noon\n');
  await withEmptyState(folder);

  const simulated = await flexcache('simulate', 'list.txt', '--json', '--embeddings', 'none');
  const reported = await flexcache('report', '--json');
  const both = await flexcache('report', '--json', '--format', 'csv');

  expect(JSON.parse(simulated.stdout)).toHaveProperty('caches');
  expect(JSON.parse(reported.stdout)).toBeTypeOf('object');
  expect(both).toMatchObject({ exitCode: 2, stdout: '' });
});
