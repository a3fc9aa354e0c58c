import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { inProcess } from './harness.ts';

async function linesOf(path: string): Promise<Record<string, unknown>[]> {
  const text = await readFile(path, 'utf8');
  return text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}

describe('flexcache trace generate', () => {
  test('writes a trace that says what it is made from, the same one each time', async () => {
    const { flexcache, folder } = await inProcess();
    const args = ['trace', 'generate', '--requests', '40', '--seed', '3', '--rate', '200'];
    expect(await flexcache(...args, '--out', 'one.jsonl')).toMatchObject({
      exitCode: 0,
      stderr: expect.stringContaining('wrote 40 made-up requests'),
    });
    await flexcache(...args, '--out', 'two.jsonl');
    const [header, ...requests] = await linesOf(join(folder, 'one.jsonl'));
    expect(header).toMatchObject({
      synthetic: true,
      parameters: { seed: 3, requestsPerDay: { value: 200 } },
    });
    expect(requests).toHaveLength(40);
    expect(await readFile(join(folder, 'two.jsonl'), 'utf8')).toBe(
      await readFile(join(folder, 'one.jsonl'), 'utf8'),
    );
  });

  test.each([
    [['--requests', 'many'], /requests: requests "many" is not a number|requests "many"/],
    [['--requests', '-3'], /requests -3 is not a whole number from 1/],
    [['--requests', '10', '--diurnal', '2'], /diurnal 2 is not a number from 0 to 1/],
    [['--requests', '10', '--edits', 'same=1'], /edits .* is not shares that add up to 1/],
    [['--requests', '10', '--edits', 'drop=1'], /edits "drop=1" names "drop"/],
    [['--requests', '10', '--start', 'soon'], /time "soon" is no time/],
  ])('refuses %j', async (args, message) => {
    const { flexcache } = await inProcess();
    const outcome = await flexcache('trace', 'generate', ...args, '--out', 'trace.jsonl');
    expect(outcome.exitCode).toBe(2);
    expect(outcome.stderr).toMatch(message);
  });
});

describe('flexcache trace import', () => {
  test('gives prompts assumed times, says so, and leaves out what is no prompt', async () => {
    const { flexcache, folder } = await inProcess();
    await writeFile(join(folder, 'prompts.txt'), 'a red ball\n!!!\na blue star\n\n');
    const outcome = await flexcache(
      'trace',
      'import',
      'prompts.txt',
      '--rate',
      '24',
      '--start',
      '2026-03-01T00:00:00Z',
      '--out',
      'trace.jsonl',
    );
    expect(outcome).toMatchObject({
      exitCode: 0,
      stderr: expect.stringContaining('left out 1 lines that hold no prompt, first line 2'),
    });
    const [header, ...requests] = await linesOf(join(folder, 'trace.jsonl'));
    expect(header).toMatchObject({ about: expect.stringContaining('Times are assumed: 24 a day') });
    expect(requests).toEqual([
      { time: '2026-03-01T00:00:00.000Z', tenant: 'default', prompt: 'a red ball' },
      { time: '2026-03-01T01:00:00.000Z', tenant: 'default', prompt: 'a blue star' },
    ]);
  });

  test.each([
    ['empty.txt', '', [], /empty.txt has no prompts: write one prompt per line/],
    ['prompts.doc', 'a red ball', [], /is of no known kind/],
    ['prompts.txt', 'a red ball', ['--rate', '0'], /0 requests a day is not between 0 and/],
  ])('refuses %s', async (name, content, args, message) => {
    const { flexcache, folder } = await inProcess();
    await writeFile(join(folder, name), content);
    const outcome = await flexcache('trace', 'import', name, ...args, '--out', 'trace.jsonl');
    expect(outcome.exitCode).toBe(2);
    expect(outcome.stderr).toMatch(message);
  });
});
