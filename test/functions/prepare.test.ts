import { describe, expect, it } from 'vitest';
import type { Backfill, BackfillFormat } from '#core/requests/backfill.ts';
import type { Pool } from '#core/generation.ts';
import { BackfillTime } from '#functions/shared/backfill-time.ts';
import type { ReadableItem } from '#functions/shared/backfill-states.ts';
import { MAX_LINES } from '#functions/shared/plan-lines.ts';
import { createPrepareHandler, type PrepareServices } from '#functions/prepare/handler.ts';
import { STANDARD_DEFAULTS } from '#readers/line-key.ts';
import { MAX_REQUESTS_BYTES } from '#readers/read-requests.ts';
import { ListedObjects, storedBackfill } from './backfill-fixture.ts';
import { SAMPLE_CAPABILITIES } from '../aws/samples.ts';
import { servicesOn, useTable } from './fixture.ts';

const FILES: Record<BackfillFormat, string> = {
  txt: '# mine\na ball\n\na star\n',
  jsonl: '{"prompt":"a ball"}\n\n{"prompt":"a star"}\n',
  csv: 'prompt,seed\na ball,\na star,\n',
};

describe('Prepare', () => {
  const table = useTable();

  async function prepare(
    content: string | Uint8Array,
    changes: Partial<Backfill> = {},
    services: Partial<PrepareServices> = {},
  ) {
    const { backfills } = servicesOn(table());
    const objects = new ListedObjects();
    const backfill = await storedBackfill(backfills, changes);
    const { backfillId, inputKey } = backfill;
    objects.bodies.set(inputKey, Buffer.from(content));
    const handle = createPrepareHandler({
      backfills,
      objects,
      uploads: objects,
      modelRevision: 'revision',
      steps: 10,
      capabilities: SAMPLE_CAPABILITIES,
      ...services,
    });
    const run = () => handle({ backfillId });
    const requests = (): unknown[] =>
      Buffer.from(objects.bodies.get(`backfills/${backfillId}/requests.jsonl`)!)
        .toString()
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line) as unknown);
    return { backfills, backfillId, objects, run, requests };
  }

  it.each(['txt', 'jsonl', 'csv'] as const)('reads a %s file into requests', async (format) => {
    // Prepare
    const { run, requests, backfillId, backfills } = await prepare(FILES[format], { format });

    // Act
    const output = await run();

    // Assess
    expect(output).toEqual({
      requestsKey: `backfills/${backfillId}/requests.jsonl`,
      resultsPrefix: `backfills/${backfillId}/results`,
      lines: 2,
      concurrency: 10,
      toleratedFailurePercentage: 100,
    });
    expect(requests()).toMatchObject([
      { prompt: 'a ball', cache: 'auto', steps: 10, seed: expect.any(Number) },
      { prompt: 'a star', cache: 'auto', steps: 10, seed: expect.any(Number) },
    ]);
    expect(await backfills.getBackfill(backfillId)).toMatchObject({ status: 'running', lines: 2 });
  });

  it('keeps a broken line with its number and the reason', async () => {
    // Prepare
    const { run, requests } = await prepare('{"prompt":"a"}\nnonsense\n{"prompt":"b","seed":3}\n');

    // Act
    await run();

    // Assess
    expect(requests()).toMatchObject([
      { line: 1, prompt: 'a' },
      {
        line: 2,
        text: 'nonsense',
        error: { code: 'invalid_input', field: 'line', fix: 'write {"prompt": "..."}' },
      },
      { line: 3, prompt: 'b', seed: 3 },
    ]);
  });

  it('lets the defaults of the backfill hold where a line says nothing', async () => {
    // Prepare
    const defaults = {
      cache: 'refresh',
      scope: 'tenant',
      steps: 4,
      minSimilarity: 0,
      maxReuse: 1,
    } as const;
    const { run, requests } = await prepare(
      '{"prompt":"a"}\n{"prompt":"a","cache":"off","steps":9}\n',
      { defaults },
    );

    // Act
    await run();

    // Assess
    expect(requests()).toMatchObject([
      { cache: 'refresh', steps: 4 },
      { cache: 'off', steps: 9 },
    ]);
  });

  it('makes of a line with n what as many lines would be, and refuses a number that is not possible', async () => {
    // Prepare
    const several = '{"prompt":"a","n":3}\n{"prompt":"b","seed":7,"n":2}\n';
    const single = `${'{"prompt":"a"}\n'.repeat(3)}{"prompt":"b","seed":7}\n{"prompt":"b","seed":8}\n`;
    const [once, spelledOut, refused] = await Promise.all([
      prepare(several),
      prepare(single),
      prepare('{"prompt":"a","n":11}\n{"prompt":"a","n":2.5}\n'),
    ]);

    // Act
    const output = await once.run();
    await Promise.all([spelledOut.run(), refused.run()]);

    // Assess
    expect(output.lines).toBe(5);
    const asked = (items: unknown[]): unknown[] =>
      (items as ReadableItem[]).map(({ line: _line, video: _video, ...item }) => item);
    expect(asked(once.requests())).toEqual(asked(spelledOut.requests()));
    expect(once.requests()).toMatchObject([
      { line: 1 },
      { line: 1, video: 2 },
      { line: 1, video: 3 },
      { line: 2, seed: 7 },
      { line: 2, video: 2, seed: 8 },
    ]);
    const error = { code: 'invalid_input', field: 'n', fix: expect.stringContaining('at most 10') };
    expect(refused.requests()).toMatchObject([
      { line: 1, error },
      { line: 2, error },
    ]);
  });

  it('keeps what lines choose of the package, and refuses by line what it cannot make', async () => {
    // Prepare
    const own = '{"prompt":"a","guidance_scale":3,"num_frames":16}';
    const other = '{"prompt":"a","guidance_scale":5,"negative_prompt":"b"}';
    const long = '{"prompt":"a","num_frames":81}';
    const { run, requests } = await prepare(`{"prompt":"a"}\n${other}\n${long}\n`);
    const same = await prepare(`${own}\n`);
    const guided = await prepare(`${own}\n{"prompt":"a"}\n`, {
      defaults: { ...STANDARD_DEFAULTS, guidanceScale: 5, negativePrompt: 'b' },
    });

    // Act
    for (const each of [run, same.run, guided.run]) await each();

    // Assess
    const [plain, chosen, refused] = requests() as ReadableItem[];
    expect(Object.keys(plain!)).not.toContain('guidanceScale');
    expect(chosen).toMatchObject({ guidanceScale: 5, negativePrompt: 'b' });
    expect(chosen!.idempotencyKey).not.toBe(plain!.idempotencyKey);
    expect(refused).toMatchObject({
      line: 3,
      text: 'a',
      error: { code: 'invalid_input', field: 'num_frames', fix: expect.stringContaining('16') },
    });
    // What the package does anyway is no choice: it makes the same video.
    expect(same.requests()).toEqual([{ ...plain, line: 1 }]);
    const [negative, ofDefaults] = guided.requests() as ReadableItem[];
    expect(Object.keys(negative!)).not.toContain('guidanceScale');
    expect(negative).toMatchObject({ negativePrompt: 'b' });
    expect(ofDefaults).toMatchObject({ guidanceScale: 5, negativePrompt: 'b' });
    expect(ofDefaults!.idempotencyKey).toBe(chosen!.idempotencyKey);
  });

  it('makes the same requests of the same file again, and others of other defaults', async () => {
    // Prepare
    const file = '{"prompt":"a"}\n{"prompt":"a"}\n';
    const one = await prepare(file);
    const same = await prepare(file);
    const bounded = await prepare(file, {
      defaults: { cache: 'auto', scope: 'tenant', steps: null, minSimilarity: 0, maxReuse: 0.5 },
    });

    // Act
    for (const { run } of [one, same, bounded]) await run();
    const first = one.requests();
    await one.run();

    // Assess
    expect(one.requests()).toEqual(first);
    expect(same.requests()).toEqual(first);
    const keysOf = (requests: unknown[]) =>
      (requests as { idempotencyKey: string }[]).map(({ idempotencyKey }) => idempotencyKey);
    expect(new Set([...keysOf(first), ...keysOf(bounded.requests())]).size).toBe(4);
  });

  it('takes a file without requests for an empty one', async () => {
    // Prepare
    const { run } = await prepare('\n\n');

    // Assess
    expect(await run()).toMatchObject({ lines: 0 });
  });

  it.each([
    ['a CSV file without prompts', 'seed\n1\n', 'csv'],
    ['a file of too many requests', 'a\n'.repeat(MAX_LINES + 1), 'txt'],
    ['a file of too many bytes', new Uint8Array(MAX_REQUESTS_BYTES + 1).fill(0x0a), 'txt'],
  ] as const)('refuses %s as a whole', async (_, content, format) => {
    // Prepare
    const { run, objects, backfillId } = await prepare(content, { format });
    // One piece: ten bytes at a time would take a while.
    objects.read = async function* (key) {
      yield await objects.get(key);
    };

    // Act
    const preparing = run();

    // Assess
    await expect(preparing).rejects.toMatchObject({ name: 'invalid_input' });
    expect([...objects.bodies.keys()]).not.toContain(`backfills/${backfillId}/requests.jsonl`);
  });

  it('names a file that is not there', async () => {
    // Prepare
    const { run, objects } = await prepare('');
    objects.bodies.clear();

    // Assess
    await expect(run()).rejects.toMatchObject({ name: 'object_missing' });
  });

  it('refuses a file that the workers have no time for, and stores nothing of it', async () => {
    // Prepare
    const pace = {
      secondsPerVideo: async (pool: Pool) => (pool === 'backfill' ? null : 40 * 24 * 3600),
    };
    const time = new BackfillTime(pace, 1);
    const { run, objects, backfillId } = await prepare(FILES.txt, { format: 'txt' }, { time });

    // Act and assess
    await expect(run()).rejects.toThrow(/take 80 days, and a backfill may take 30/);
    expect(objects.bodies.has(`backfills/${backfillId}/requests.jsonl`)).toBe(false);
  });

  it('begins no backfill that was cancelled', async () => {
    // Prepare
    const { run, backfills, backfillId } = await prepare('a\n');
    await backfills.requestBackfillCancel(backfillId);

    // Assess
    await expect(run()).rejects.toMatchObject({ name: 'cancelled' });
  });
});
