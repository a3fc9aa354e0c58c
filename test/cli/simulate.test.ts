import { readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import { inProcess, type InProcess } from './harness.ts';

const PACKAGE = join(import.meta.dirname, '..', '..', 'containers', 'demo-model', 'package');

let harness: InProcess;

beforeEach(async () => {
  harness = await inProcess();
});

async function simulate(...args: string[]): Promise<{
  exitCode: number;
  stdout: string;
  stderr: string;
}> {
  return harness.flexcache('simulate', ...args);
}

function write(name: string, text: string): Promise<void> {
  return writeFile(join(harness.folder, name), text);
}

/** Four requests: two about one thing, one again with its seed, one of another tenant. */
const TRACE = [
  { time: '2026-01-01T00:00:00Z', prompt: 'a red ball over a meadow at noon', seed: 1 },
  { time: '2026-01-01T00:01:00Z', prompt: 'a red ball over a meadow at noon', seed: 2 },
  { time: '2026-01-01T00:02:00Z', prompt: 'a red ball over a meadow at noon', seed: 1 },
  {
    time: '2026-01-01T00:03:00Z',
    tenant: 'other',
    prompt: 'A red ball over a meadow at noon',
    seed: 1,
  },
]
  .map((fields) => JSON.stringify(fields))
  .join('\n');

describe('flexcache simulate', () => {
  test('replays a trace through the planner, each tenant by itself', async () => {
    await write('trace.jsonl', TRACE);
    const outcome = await simulate(
      'trace.jsonl',
      '--policies',
      'all,none,lru',
      '--capacity',
      '2',
      '--format',
      'json',
    );
    expect(outcome.stderr).toBe('');
    const answer = JSON.parse(outcome.stdout) as {
      caches: { policy: string; capacity: string; result: Record<string, unknown> }[];
    };
    expect(answer).toMatchObject({
      trace: { requests: 4, from: '2026-01-01T00:00:00.000Z', synthetic: false },
      embedder: { knowsParts: true },
      prices: { region: 'us-east-1' },
    });
    expect(answer.caches.map(({ policy, capacity }) => [policy, capacity])).toEqual([
      ['all', 'unlimited'],
      ['none', 'unlimited'],
      ['lru', '2'],
    ]);
    const hits = { exact: 1, 'same-prompt': 1, miss: 2 };
    expect(answer.caches[0]!.result).toMatchObject({ hits });
    expect(answer.caches[1]!.result).toMatchObject({ hits: { miss: 4 } });
    expect(answer.caches[2]!.result).toMatchObject({ hits });
  });

  test('embeds each prompt once, and not again in the next run', async () => {
    await write('trace.jsonl', TRACE);
    const args = ['trace.jsonl', '--policies', 'all', '--format', 'json'];
    const first = await simulate(...args);
    const kept = await readFile(join(harness.folder, 'trace.jsonl.embeddings'));
    const second = await simulate(...args);
    expect(second.stdout).toBe(first.stdout);
    expect(await readFile(join(harness.folder, 'trace.jsonl.embeddings'))).toEqual(kept);

    await write('trace.jsonl.embeddings', `${kept.toString('latin1')}x`);
    expect(await simulate(...args)).toMatchObject({
      exitCode: 1,
      stderr: expect.stringMatching(/state_corrupt: .* is truncated or was altered: delete it/),
    });
  });

  test('can be interrupted while it embeds, and goes on where it stopped', async () => {
    const prompts = Array.from({ length: 120 }, (_, index) => `a red ball number ${index}`);
    await write('prompts.txt', prompts.join('\n'));
    const interrupting = setInterval(() => harness.interrupt(), 5);
    const stopped = await simulate('prompts.txt', '--policies', 'all');
    clearInterval(interrupting);
    expect(stopped).toEqual({ exitCode: 130, stdout: '', stderr: '' });
    expect(await simulate('prompts.txt', '--policies', 'all')).toMatchObject({ exitCode: 0 });
  });

  test('prints dollars apart, hits by kind, and what the order is worth', async () => {
    await write('prompts.txt', 'a red ball over a meadow\na blue star at night in space\n');
    const { stdout, exitCode } = await simulate('prompts.txt', '--capacity', '50%,1MB,unlimited');
    expect(exitCode).toBe(0);
    for (const text of ['GPU $', 'storage $', 'total $', 'obj+bg', 'first pass', '50% (1)']) {
      expect(stdout).toContain(text);
    }
    expect(stdout).toContain('Times are assumed: 1018 a day');
    expect(stdout).toMatch(/locality: at capacity 1MB .* in order .* shuffled/);
  });

  test('writes one page that needs nothing else', async () => {
    await write('prompts.txt', 'a <b>red</b> ball over a meadow\n');
    const { exitCode } = await simulate('prompts.txt', '--format', 'html', '--out', 'page.html');
    expect(exitCode).toBe(0);
    const page = await readFile(join(harness.folder, 'page.html'), 'utf8');
    expect(page).toContain('<title>Simulated cost of prompts.txt</title>');
    expect(page).toContain('<svg');
    expect(page).not.toMatch(/(src|href)="(?!data:)|<script|@import/);
  });

  test('takes a general sentence encoder, and says that it knows no parts', async () => {
    await symlink(join(PACKAGE, 'text-tower.onnx'), join(harness.folder, 'encoder.onnx'));
    await symlink(join(PACKAGE, 'tokenizer.json'), join(harness.folder, 'tokenizer.json'));
    const manifest = {
      format: 'flexcache-embedder/1',
      name: 'text tower',
      license: 'MIT',
      dimensions: 128,
      maxTokens: 32,
      fixedLength: true,
      ladder: [{ similarity: 0.9, startTime: 0.7 }],
    };
    await write('embedder.json', JSON.stringify(manifest));
    await write('prompts.txt', 'a red ball over a meadow\na red ball over a green meadow\n');
    const args = ['prompts.txt', '--embedder', '.', '--policies', 'all', '--format', 'json'];
    const { stdout, stderr } = await simulate(...args);
    expect(stderr).toBe('');
    expect(JSON.parse(stdout)).toMatchObject({
      embedder: { name: 'text tower', knowsParts: false },
      caches: [{ result: { hits: { whole: 1, object: 0, background: 0, miss: 1 } } }],
    });

    await write('embedder.json', JSON.stringify({ ...manifest, dimensions: 64 }));
    expect((await simulate(...args)).stderr).toMatch(/model_corrupt: .*expected \[2, 64\]/);
    await write('embedder.json', JSON.stringify({ ...manifest, ladder: [] }));
    expect((await simulate(...args)).stderr).toMatch(/model_corrupt: .*embedder.json: ladder/);
  });
});

describe('flexcache simulate says what is wrong and what to do', () => {
  test.each([
    ['no file', ['gone.jsonl'], /gone.jsonl does not exist: name a trace/],
    ['an empty trace', ['empty.jsonl'], /empty.jsonl has no requests: generate a trace with/],
    ['a broken line', ['broken.jsonl'], /line 2: the line is not JSON: write/],
    ['another kind of file', ['trace.doc'], /is of no known kind/],
    ['a policy', ['prompts.txt', '--policies', 'lru,best'], /policy "best" is not known: use some/],
    ['a capacity', ['prompts.txt', '--capacity', '-5'], /capacity "-5" is neither/],
    ['no capacity', ['prompts.txt', '--capacity', '5,,6'], /"5,,6" has an empty item/],
    ['a share above all', ['prompts.txt', '--capacity', '101%'], /capacity "101%" is neither/],
    ['a tier', ['prompts.txt', '--tier', 'slow'], /tier "slow" is not known: use object/],
    ['a region', ['prompts.txt', '--prices', 'mars'], /mars/],
    ['an override', ['prompts.txt', '--override', 'ec2=1'], /--override contains "ec2"/],
    ['a profile', ['prompts.txt', '--video-profile', 'big'], /"big" is neither a known profile/],
    [
      'a negative size',
      ['prompts.txt', '--video-profile', 'latent=-1,seconds=2,steps=50'],
      /latent=-1 is not a whole number above 0/,
    ],
    ['a rate', ['prompts.txt', '--rate', '-1'], /-1 requests a day is not between/],
    ['a seed', ['prompts.txt', '--seed', 'x'], /seed "x" is not an integer/],
    [
      'a threshold',
      ['prompts.txt', '--thresholds', 'whole=2'],
      /threshold "whole=2" is not a cosine/,
    ],
    [
      'thresholds for an encoder that has its own',
      ['prompts.txt', '--thresholds', 'whole=0.9', '--embedder', 'any'],
      /a sentence encoder brings its own ladder/,
    ],
    ['no embedder', ['prompts.txt', '--embedder', 'gone'], /model_missing: .*embedder.json cannot/],
    ['no model', ['prompts.txt', '--model', 'gone'], /model_missing: there is no model package/],
  ])('%s', async (_, args, message) => {
    await write('empty.jsonl', '\n');
    await write('broken.jsonl', `${TRACE.split('\n')[0]}\nnonsense\n`);
    await write('prompts.txt', 'a red ball\n');
    await write('trace.doc', 'a red ball\n');
    const outcome = await simulate(...args);
    expect(outcome.exitCode).not.toBe(0);
    expect(outcome.stdout).toBe('');
    expect(outcome.stderr).toMatch(message);
    expect(outcome.stderr.trimEnd().split('\n')).toHaveLength(1);
  });
});
