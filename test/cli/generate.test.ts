import { mkdir, readFile, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { FlexCacheError } from '#core/errors.ts';
import { run } from '#cli/program.ts';
import { modelSchema } from '#functions/api/schemas/service.ts';
import { asFileError, writeOutput } from '#cli/output-file.ts';
import { inProcess, interruptAtVideo, temporaryFolder } from './harness.ts';

/** The fake cloud uses nothing. */
const COST_OF_NOTHING = {
  total: '0.00',
  wasted: '0.00',
  idle: '0.00',
  coldStart: '0.00',
  loaded: '0.00',
  full: '0.00',
  saved: '0.00',
  currency: 'USD',
  items: [],
  pricedAs: { instanceType: 'g6.xlarge', purchaseOption: 'on-demand', isReference: true },
  prices: { region: 'us-east-1', asOf: expect.stringMatching(/^\d{4}-\d{2}/) },
};

test('generate writes the video and prints where it is and how it was made', async () => {
  const { flexcache, folder } = await inProcess();

  const { exitCode, stdout, stderr } = await flexcache('generate', 'a red ball', '--seed', '5');

  expect(exitCode).toBe(0);
  expect(stderr).toBe('');
  const [file, ...others] = (await readdir(folder)).filter((name) => name.endsWith('.mp4'));
  expect(others).toEqual([]);
  expect(file).toMatch(/^flexcache-vid_[0-9A-Z]{26}\.mp4$/);
  expect(stdout).toContain(join(folder, file!));
  expect(stdout).toContain('seed    5');
  expect(await readFile(join(folder, file!), 'utf8')).toMatch(/^mp4 of vid_/);
});

test('--json prints one object of the documented shape', async () => {
  const { flexcache, folder } = await inProcess();
  await flexcache('generate', 'a red ball', '--seed', '4');

  const { stdout } = await flexcache(
    'generate',
    'A  ball',
    '--seed',
    '5',
    '--json',
    '--out',
    'v/b.mp4',
  );

  expect(stdout.trimEnd().split('\n')).toHaveLength(1);
  expect(JSON.parse(stdout)).toEqual({
    id: expect.stringMatching(/^vid_/),
    status: 'completed',
    prompt: 'A ball',
    seed: 5,
    guidanceScale: null,
    negativePrompt: null,
    image: null,
    video: join(folder, 'v/b.mp4'),
    cache: {
      hit: 'object',
      donors: [{ id: expect.stringMatching(/^vid_/), part: 'object', similarity: 0.93 }],
      similarity: { whole: null, object: 0.93, background: null },
      t0: 0.6,
      anchor: 'none',
      variety: 'low',
      parts: true,
      stored: true,
      reason: null,
    },
    steps: { run: 7, equivalents: 7, full: 12 },
    seconds: { embed: 0.1, lookup: 0.1, queue: 0, generate: 1, commit: 0.1, total: 1.3 },
    bytes: { latent: 6, video: expect.any(Number) },
    cost: COST_OF_NOTHING,
    model: 'fake-revision',
    warnings: [],
  });
});

test('generate says which words of the prompt the model does not know', async () => {
  const { flexcache } = await inProcess();

  const { exitCode, stdout, stderr } = await flexcache('generate', 'a zorbly ball', '--json');

  expect(exitCode).toBe(0);
  expect(stderr).toBe(
    'flexcache: the model does not know "zorbly". Use other words for what the video should show\n',
  );
  expect(JSON.parse(stdout).warnings).toEqual([
    { code: 'unknown_words', message: expect.any(String), words: ['zorbly'] },
  ]);
});

test('without --seed two videos get different seeds', async () => {
  const { flexcache, clouds } = await inProcess();

  await flexcache('generate', 'a ball');
  await flexcache('generate', 'a ball');

  expect(clouds[0]!.inputs[0]!.seed).not.toBe(clouds[1]!.inputs[0]!.seed);
});

test('--n makes so many videos, with seeds that count up and a file each', async () => {
  const { flexcache, folder, clouds } = await inProcess();

  const options = ['--n', '3', '--seed', '5', '--json', '--out', 'clip.mp4'];
  const made = await flexcache('generate', 'a zorbly ball', ...options);

  expect(made.exitCode).toBe(0);
  expect(clouds).toHaveLength(1);
  const reports = made.stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as { id: string; seed: number; video: string });
  expect(reports.map(({ seed, video }) => [seed, video]).sort()).toEqual([
    [5, join(folder, 'clip-1.mp4')],
    [6, join(folder, 'clip-2.mp4')],
    [7, join(folder, 'clip-3.mp4')],
  ]);
  for (const { id, video } of reports) {
    expect(await readFile(video, 'utf8')).toContain(id);
  }
  expect(made.stderr.match(/zorbly/g)).toHaveLength(1);
});

test('--n of which one fails says so, and keeps the others', async () => {
  const { flexcache, folder, clouds } = await inProcess({ failingSeeds: [6] });

  const made = await flexcache('generate', 'a ball', '--n', '2', '--seed', '5');

  expect(made.exitCode).toBe(1);
  expect(made.stderr).toBe('flexcache: workflow_failed: the worker exploded\n');
  expect((await readdir(folder)).filter((name) => name.endsWith('.mp4'))).toHaveLength(1);
  expect(clouds[0]!.inputs.map(({ seed }) => seed)).toEqual([5, 6]);
});

test('options of the request and of the machine reach the cloud', async () => {
  const { flexcache, clouds, folder } = await inProcess();

  const bounds = ['--max-reuse', '0.5', '--min-similarity', '.9'];
  const choice = ['--negative-prompt', 'a  star', '--guidance-scale', '4.5', '--num-frames', '16'];
  const options = ['--cache', 'off', '--steps', '4', '--state', 'elsewhere', ...bounds, ...choice];
  await flexcache('generate', 'a ball', ...options);

  expect(clouds[0]!.inputs[0]).toMatchObject({
    cache: 'off',
    steps: 4,
    maxReuse: 0.5,
    minSimilarity: 0.9,
    negativePrompt: 'a star',
    guidanceScale: 4.5,
    numFrames: 16,
  });
  expect(clouds[0]!.stateDirectory).toBe(join(folder, 'elsewhere'));
});

test('--image gives the cloud the file that the video begins with', async () => {
  const { flexcache, clouds, folder } = await inProcess();
  const png = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 1]);
  await writeFile(join(folder, 'first.png'), png);
  await writeFile(join(folder, 'first.txt'), 'no image');

  await flexcache('generate', 'a ball', '--image', 'first.png');
  const missing = await flexcache('generate', 'a ball', '--image', 'second.png');
  const text = await flexcache('generate', 'a ball', '--image', 'first.txt');

  expect(clouds).toHaveLength(1);
  expect(clouds[0]!.inputs[0]!.imageFile).toEqual(png);
  expect(missing.exitCode).toBe(2);
  expect(missing.stderr).toMatch(/^flexcache: invalid_input: the file second\.png cannot be read/);
  expect(text.exitCode).toBe(2);
  expect(text.stderr).toMatch(/no PNG, JPEG or WebP file/);
});

test.each([
  [['generate', '   '], 'prompt_empty'],
  [['generate', '🎈'], 'prompt_without_words'],
  [['generate', 'a'.repeat(2001)], 'prompt_too_long'],
  [['generate', 'a', '--seed', '-1'], 'invalid_input'],
  [['generate', 'a', '--seed', '0x10'], 'invalid_input'],
  [['generate', 'a', '--cache', 'on'], 'invalid_input'],
  [['generate', 'a', '--steps', '0'], 'invalid_input'],
  [['generate', 'a', '--n', '11'], 'invalid_input'],
  [['generate', 'a', '--n', 'two'], 'invalid_input'],
  [['generate', 'a', '--max-reuse', '1.5'], 'invalid_input'],
  [['generate', 'a', '--min-similarity', '1e-1'], 'invalid_input'],
  [['generate'], 'invalid_input'],
  [['generate', 'a', 'ball'], 'invalid_input'],
  [['generate', 'a', '--colour', 'red'], 'invalid_input'],
  [['degenerate'], 'invalid_input'],
  [['generate', 'a', '--provider', 'abacus'], 'invalid_input'],
  [['cache', 'show', 'nothing'], 'invalid_input'],
  [['backfill', 'missing.txt'], 'invalid_input'],
  [['backfill', 'prompts.pdf'], 'invalid_input'],
  [['backfill', 'prompts.txt', '--concurrency', '0'], 'invalid_input'],
  [['generate', 'a', '--batch', '0'], 'invalid_input'],
])('%j is refused with one line and exit code 2 before anything is opened', async (args, code) => {
  const { flexcache, clouds } = await inProcess();

  const { exitCode, stdout, stderr } = await flexcache(...args);

  expect(exitCode).toBe(2);
  expect(stdout).toBe('');
  expect(stderr).toMatch(new RegExp(`^flexcache: ${code}: [^\\n]+\\n$`));
  expect(clouds).toEqual([]);
});

test('--out that names a folder is refused before the video is made', async () => {
  const { flexcache, folder, clouds } = await inProcess();
  await mkdir(join(folder, 'videos'));

  const { exitCode, stderr } = await flexcache('generate', 'a', '--out', 'videos');

  expect(exitCode).toBe(2);
  expect(stderr).toMatch(/videos is a folder: name a file/);
  expect(clouds).toEqual([]);
});

test.each([['notes.txt/video.mp4'], ['notes.txt/videos/video.mp4']])(
  '--out %s behind a file is refused before the video is made',
  async (out) => {
    const { flexcache, folder, clouds } = await inProcess();
    await writeFile(join(folder, 'notes.txt'), 'mine');

    const { exitCode, stderr } = await flexcache('generate', 'a', '--out', out);

    expect(exitCode).toBe(2);
    expect(stderr).toMatch(/^flexcache: invalid_input: .+ a file or folder is in the way/);
    expect(clouds).toEqual([]);
  },
);

test.each([
  ['ENOSPC', 'disk_full'],
  ['EROFS', 'permission_denied'],
])('%s of the file system is %s', (code, expected) => {
  const error = asFileError(Object.assign(new Error(code), { code }), '/videos/a.mp4');

  expect(error).toMatchObject({ code: expected, fix: expect.any(String) });
});

test('a write that fails half-way leaves nothing behind', async () => {
  const folder = await temporaryFolder();
  await mkdir(join(folder, 'taken'));

  const writing = writeOutput(join(folder, 'taken'), 'text');

  await expect(writing).rejects.toMatchObject({ code: 'invalid_input', field: 'out' });
  expect(await readdir(folder)).toEqual(['taken']);
});

test('a failed video prints one error line, and with --json the failure as an object', async () => {
  const { flexcache, folder } = await inProcess();

  const { exitCode, stdout, stderr } = await flexcache('generate', 'explode now', '--json');

  expect(exitCode).toBe(1);
  expect(stderr).toBe('flexcache: workflow_failed: the worker exploded\n');
  expect(JSON.parse(stdout)).toEqual({
    id: expect.stringMatching(/^vid_/),
    status: 'failed',
    prompt: 'explode now',
    error: { code: 'workflow_failed', message: 'the worker\nexploded', field: null, fix: null },
    cost: COST_OF_NOTHING,
  });
  expect((await readdir(folder)).filter((name) => name.endsWith('.mp4'))).toEqual([]);
});

test('a refused request is an object too with --json', async () => {
  const { flexcache } = await inProcess();

  const { exitCode, stdout } = await flexcache('generate', '', '--json');

  expect(exitCode).toBe(2);
  expect(JSON.parse(stdout)).toMatchObject({
    id: null,
    status: 'failed',
    error: { code: 'prompt_empty', field: 'prompt', fix: expect.any(String) },
    cost: null,
  });
});

test('an interrupt cancels the video and exits with 130', async () => {
  const harness = await inProcess();
  interruptAtVideo(harness, 1);

  const { exitCode, stderr } = await harness.flexcache('generate', 'a ball');

  expect(exitCode).toBe(130);
  expect(stderr).toMatch(/^flexcache: cancelled: /);
});

test('an error of opening keeps its code, and one that nobody foresaw is internal', async () => {
  const failWith = async (error: Error): Promise<{ exitCode: number; stderr: string }> => {
    let stderr = '';
    const exitCode = await run(['cache', 'rm', `vid_${'0'.repeat(26)}`], {
      open: () => Promise.reject(error),
      stdout: { write: () => undefined },
      stderr: { write: (text) => (stderr += text) },
      progress: null,
      columns: undefined,
      workingDirectory: '/',
      onInterrupt: () => () => undefined,
    });
    return { exitCode, stderr };
  };

  const locked = await failWith(
    new FlexCacheError('state_locked', 'in use by process 7', { fix: 'wait for it' }),
  );
  const unforeseen = await failWith(new TypeError('x is\nundefined'));

  expect(locked).toEqual({
    exitCode: 1,
    stderr: 'flexcache: state_locked: in use by process 7: wait for it\n',
  });
  expect(unforeseen.exitCode).toBe(1);
  expect(unforeseen.stderr).toMatch(/^flexcache: internal: x is undefined: run again .+\n$/);
});

test('models says what the package makes, and what requests may choose', async () => {
  const { flexcache } = await inProcess();

  const [text, json] = [await flexcache('models'), await flexcache('models', '--json')];

  expect(text.stdout).toContain('model            demo-world');
  expect(text.stdout).toContain('guidance scale   3, 1 to 20\n');
  expect(modelSchema.parse(JSON.parse(json.stdout))).toMatchObject({
    id: 'demo-world',
    num_frames: [16],
    max_n: 10,
  });
});
