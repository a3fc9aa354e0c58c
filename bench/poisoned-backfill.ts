import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isDeepStrictEqual, parseArgs } from 'node:util';
import { openState } from '#local/check-state.ts';
import type { FailureReport, VideoReport } from '#cli/video-report.ts';
import { printedObjects, runFlexcache } from './run-flexcache.ts';
import { crossedTargets, donorTargets } from './world-prompts.ts';

const USAGE = `node bench/poisoned-backfill.ts [--lines 200] [--concurrency 2]
  Backfills a file with five poisoned lines on the shipped model, checks videos, failures and
  manifest, and that running it again makes nothing.`;

const POISON = [
  'nonsense',
  '{"prompt": ""}',
  '{"prompt": "a star", "seed": -1}',
  '{"seed": 4}',
  '{"prompt": "a star", "cache": "sometimes"}',
];

interface Manifest {
  ResultFiles: Record<'SUCCEEDED' | 'FAILED' | 'PENDING', { Key: string }[]>;
}

type LineReport = (VideoReport | FailureReport) & { line: number; alreadyThere: boolean };

const { values: flags } = parseArgs({
  options: {
    lines: { type: 'string', default: '200' },
    concurrency: { type: 'string', default: '2' },
    help: { type: 'boolean', default: false },
  },
});

/** Prompts of the world, over and over with other seeds, with the poison spread among them. */
function fileOf(lines: number): { text: string; poisoned: number[] } {
  const prompts = [...donorTargets(), ...crossedTargets(Infinity)];
  const every = Math.floor(lines / POISON.length);
  const poisoned = POISON.map((_, index) => (index + 1) * every);
  const text = Array.from({ length: lines }, (_, index) => {
    const poison = poisoned.indexOf(index + 1);
    if (poison !== -1) return POISON[poison]!;
    const { prompt } = prompts[index % prompts.length]!;
    return JSON.stringify({ prompt, seed: Math.floor(index / prompts.length) });
  }).join('\n');
  return { text, poisoned };
}

async function faultsOf(folder: string, lines: number): Promise<string[]> {
  const { text, poisoned } = fileOf(lines);
  await writeFile(join(folder, 'list.jsonl'), text);
  const command = ['backfill', 'list.jsonl', '--state', 'state', '--json'];
  const run = () => runFlexcache(folder, ...command, '--concurrency', flags.concurrency);

  const start = performance.now();
  const first = await run();
  const seconds = (performance.now() - start) / 1000;
  const made = printedObjects<LineReport>(first);
  const completed = made.filter(({ status }) => status === 'completed');
  const failed = made.filter(({ status }) => status === 'failed');
  const restart = performance.now();
  const again = printedObjects<LineReport>(await run());
  const againSeconds = (performance.now() - restart) / 1000;
  const results = await resultsOf(join(folder, 'state'));

  console.log(
    `${completed.length} videos in ${seconds.toFixed(1)} s (${(seconds / completed.length).toFixed(2)} s a video), ${failed.length} failures; again in ${againSeconds.toFixed(1)} s`,
  );
  for (const { line, error } of failed as (FailureReport & { line: number })[]) {
    console.log(`  line ${line}: ${error.code}: ${error.message}`);
  }
  const faults: string[] = [];
  const expect = (what: string, found: unknown, wanted: unknown): void => {
    if (isDeepStrictEqual(found, wanted)) return;
    faults.push(`${what}: ${JSON.stringify(found)}, expected ${JSON.stringify(wanted)}`);
  };
  const good = lines - poisoned.length;
  expect('videos', new Set(completed.map(({ id }) => id)).size, good);
  expect('failed lines', failed.map(({ line }) => line).sort(byNumber), poisoned);
  expect('exit code', first.exitCode, 1);
  for (const [run, { succeeded, failures, pending }] of results.entries()) {
    expect(`run ${run + 1}: succeeded in the manifest`, succeeded, good);
    expect(`run ${run + 1}: failed in the manifest`, failures, poisoned.length);
    expect(`run ${run + 1}: pending in the manifest`, pending, 0);
  }
  expect('manifests', results.length, 2);
  const remade = again.filter(
    ({ status, alreadyThere }) => status === 'completed' && !alreadyThere,
  );
  expect('videos made again', remade.length, 0);
  expect('videos found again', again.filter(({ alreadyThere }) => alreadyThere).length, good);
  return faults;
}

async function resultsOf(
  stateDirectory: string,
): Promise<{ succeeded: number; failures: number; pending: number }[]> {
  await using state = await openState(stateDirectory);
  const read = async (key: string): Promise<unknown> =>
    JSON.parse(Buffer.from(await state.objects.get(key)).toString());
  const results = [];
  for await (const { key } of state.objects.list('backfills/')) {
    if (!key.endsWith('/manifest.json')) continue;
    const { ResultFiles: files } = (await read(key)) as Manifest;
    const count = async (kind: keyof typeof files): Promise<number> => {
      const contents = await Promise.all(files[kind].map(({ Key }) => read(Key)));
      return (contents as unknown[][]).flat().length;
    };
    results.push({
      succeeded: await count('SUCCEEDED'),
      failures: await count('FAILED'),
      pending: await count('PENDING'),
    });
  }
  return results;
}

function byNumber(one: number, other: number): number {
  return one - other;
}

if (flags.help) {
  console.log(USAGE);
} else {
  const folder = await mkdtemp(join(tmpdir(), 'flexcache-poisoned-'));
  const faults = await faultsOf(folder, Number(flags.lines));
  for (const fault of faults) console.log(`FAULT ${fault}`);
  if (faults.length === 0) await rm(folder, { recursive: true });
  else console.log(`see ${folder}`);
  process.exitCode = faults.length === 0 ? 0 : 1;
}
