import { cp, mkdtemp, open, readFile, readdir, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import type { VideoReport } from '#cli/video-report.ts';
import { printedObjects, runFlexcache, type Outcome } from '../../bench/run-flexcache.ts';
import { BALL, checked, problemsOf, temporaryFolder } from './harness.ts';

vi.setConfig({ testTimeout: 120_000 });

const STEPS = '8';
const DRAFT_STEPS = '2';

let base: string;
let first: VideoReport;

beforeAll(async () => {
  base = await mkdtemp(join(tmpdir(), 'flexcache-base-'));
  [first] = printedObjects<VideoReport>(await request(base, 1)) as [VideoReport];
}, 120_000);

afterAll(() => rm(base, { recursive: true, force: true }));

/** Seed 1 is asked for in as many steps as it takes to show its prompt, others as drafts. */
function request(folder: string, seed: number, ...options: string[]): Promise<Outcome> {
  const steps = seed === 1 ? STEPS : DRAFT_STEPS;
  const command = ['generate', BALL, '--steps', steps, '--json', '--seed', String(seed)];
  return runFlexcache(folder, ...command, ...options);
}

/** A folder of its own whose state holds one video: of the prompt with seed 1. */
async function withOneVideo(): Promise<string> {
  const folder = await temporaryFolder();
  await cp(join(base, '.flexcache'), join(folder, '.flexcache'), { recursive: true });
  return folder;
}

function reportOf(outcome: Outcome): VideoReport {
  expect(outcome.exitCode, outcome.stderr).toBe(0);
  return printedObjects<VideoReport>(outcome)[0]!;
}

async function soleFile(folder: string, extension: string): Promise<string> {
  const names = await readdir(folder, { recursive: true });
  return join(
    folder,
    names.find((name) => name.endsWith(extension))!,
  );
}

async function flipByteAt(path: string, position: number): Promise<void> {
  const file = await open(path, 'r+');
  try {
    const byte = Buffer.alloc(1);
    await file.read(byte, 0, 1, position);
    byte[0]! ^= 0xff;
    await file.write(byte, 0, 1, position);
  } finally {
    await file.close();
  }
}

describe('one stored video', () => {
  test('answers the same prompt and seed byte for byte, without a step', async () => {
    const folder = await withOneVideo();

    const again = reportOf(await request(folder, 1));

    expect(again).toMatchObject({
      cache: { hit: 'exact', donors: [{ id: first.id, part: 'whole', similarity: 1 }], t0: 0 },
      steps: { run: 0, full: 8 },
    });
    expect(again.id).not.toBe(first.id);
    expect(await readFile(again.video)).toEqual(await readFile(first.video));
  });

  test('is where another seed of the same prompt starts from, and gives another video', async () => {
    const folder = await withOneVideo();

    const other = reportOf(await request(folder, 2));

    expect(other).toMatchObject({
      cache: { hit: 'background', donors: [{ id: first.id }] },
    });
    expect(other.steps.equivalents).toBeLessThan(other.steps.full);
    expect(await readFile(other.video)).not.toEqual(await readFile(first.video));
    expect(problemsOf(await checked(join(folder, '.flexcache')))).toEqual([]);
  });

  test('is neither read nor added to by off, read by readonly, added to by refresh', async () => {
    const folder = await withOneVideo();
    const state = join(folder, '.flexcache');
    const entries = async (): Promise<number> => (await checked(state)).entries.length;

    const off = reportOf(await request(folder, 3, '--cache', 'off'));
    const afterOff = await entries();
    const readonly = reportOf(await request(folder, 2, '--cache', 'readonly'));
    const afterReadonly = await entries();
    const refresh = reportOf(await request(folder, 3, '--cache', 'refresh'));
    const afterRefresh = await entries();

    expect([off, readonly, refresh].map(({ cache }) => cache.hit)).toEqual([
      'miss',
      'background',
      'miss',
    ]);
    expect([off, readonly, refresh].map(({ bytes }) => bytes.latent > 0)).toEqual([
      false,
      false,
      true,
    ]);
    expect([afterOff, afterReadonly, afterRefresh]).toEqual([1, 1, 2]);
    expect(problemsOf(await checked(state))).toEqual([]);
  });
});

test('a draft is not where a request for more steps starts from', async () => {
  const folder = await temporaryFolder();
  const draft = ['generate', BALL, '--json', '--steps', '1', '--seed', '1'];
  reportOf(await runFlexcache(folder, ...draft));

  const finished = reportOf(await request(folder, 2));

  expect(finished).toMatchObject({
    cache: { hit: 'miss', donors: [] },
    steps: { run: 2, full: 2 },
  });
});

describe('a stored latent', () => {
  test.each([
    ['with a flipped byte', (path: string) => flipByteAt(path, 500)],
    ['that was cut', (path: string) => truncate(path, 100)],
    ['that is gone', (path: string) => rm(path)],
  ])('%s is said so and not reused', async (_, damage) => {
    const folder = await withOneVideo();
    await damage(await soleFile(join(folder, '.flexcache', 'objects'), '.fcl'));

    const outcome = await request(folder, 2);

    expect(reportOf(outcome)).toMatchObject({
      cache: { hit: 'miss', donors: [] },
      steps: { run: 2 },
    });
    expect(outcome.stderr).toMatch(/^flexcache: the background of vid_\w+ was not reused: .*\n$/);
    expect(outcome.stderr).toContain(first.id);
  });
});

test('a stored video that is damaged is made again, and found from then on', async () => {
  const folder = await withOneVideo();
  await flipByteAt(await soleFile(join(folder, '.flexcache', 'objects'), '.mp4'), 100);

  const remade = await request(folder, 1);
  const again = await request(folder, 1);

  expect(remade.stderr).toMatch(/^flexcache: object_\w+: .*: it is made again\n$/);
  expect(reportOf(remade)).toMatchObject({ cache: { hit: 'miss' }, steps: { run: 8 } });
  expect(again.stderr).toBe('');
  expect(reportOf(again).cache).toMatchObject({
    hit: 'exact',
    donors: [{ id: reportOf(remade).id }],
  });
});

test('a stored video that is gone is made again from what is left, and found from then on', async () => {
  const folder = await withOneVideo();
  await rm(await soleFile(join(folder, '.flexcache', 'objects'), '.mp4'));

  const remade = await request(folder, 1);
  const again = await request(folder, 1);

  expect(remade.stderr).toBe('');
  expect(reportOf(remade)).toMatchObject({
    cache: { hit: 'background', donors: [{ id: first.id }] },
    steps: { run: 5, full: 8 },
  });
  expect(reportOf(again).cache).toMatchObject({
    hit: 'exact',
    donors: [{ id: reportOf(remade).id }],
  });
});

describe('the state folder', () => {
  test('rebuilds a damaged vector index from the table', async () => {
    const folder = await withOneVideo();
    const state = join(folder, '.flexcache');
    await writeFile(join(state, 'vectors', 'vectors.log'), 'nonsense');

    const { entries, findings } = await checked(state);
    const other = reportOf(await request(folder, 2));

    expect(entries).toHaveLength(1);
    expect(findings).toEqual([]);
    expect(other.cache.hit).toBe('background');
  });

  test.each([
    ['is gone', async (table: string) => rm(table, { recursive: true })],
    ['has lost its pointer', async (table: string) => rm(join(table, 'CURRENT'))],
    ['has a damaged pointer', async (table: string) => writeFile(join(table, 'CURRENT'), 'x\n')],
    [
      'has lost its manifest',
      async (table: string) => {
        const names = await readdir(table);
        await rm(
          join(
            table,
            names.find((name) => name.startsWith('MANIFEST'))!,
          ),
        );
      },
    ],
  ])('whose table %s is refused in one line and left as it is', async (_, damage) => {
    const folder = await withOneVideo();
    const state = join(folder, '.flexcache');
    await damage(join(state, 'table'));

    const refused = await request(folder, 1);
    await rm(join(state, 'table'), { recursive: true, force: true });
    await cp(join(base, '.flexcache', 'table'), join(state, 'table'), { recursive: true });
    const restored = await request(folder, 1);

    expect(refused.exitCode).toBe(1);
    expect(refused.stderr).toMatch(/^flexcache: state_corrupt: the table in .*: restore .*\n$/);
    expect(reportOf(restored).cache.hit).toBe('exact');
  });

  test('whose newest changes are damaged says what is lost and goes on', async () => {
    const folder = await withOneVideo();
    const journal = await soleFile(join(folder, '.flexcache', 'table'), '.log');
    const bytes = await readFile(journal);
    // A damaged record takes what follows in its block with it, but not the next block.
    for (let at = bytes.indexOf('ENTRY#'); at >= 0; at = bytes.indexOf('ENTRY#', at + 1)) {
      await flipByteAt(journal, at);
    }

    const outcome = await request(folder, 2);

    expect(outcome.stderr).toMatch(/^flexcache: the table's journal was damaged: \d+ bytes/);
    expect(reportOf(outcome).cache.hit).toBe('miss');
    expect(problemsOf(await checked(join(folder, '.flexcache')))).toEqual([]);
  });
});
