import { watch } from 'node:fs';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { createRandomSource, type RandomSource } from '#core/random.ts';
import { checkState, openState, type StateCheck } from '#local/check-state.ts';
import type { HitKind } from '#core/generation.ts';
import type { VideoReport } from '#cli/video-report.ts';
import {
  printedObjects,
  startFlexcache,
  type Outcome,
  type RunningCommand,
} from './run-flexcache.ts';

const BALL = 'a small blue ball rising over the ocean at dawn';
const STAR = 'a large red star falling in front of a brick wall at dusk';

/** One line of the list. */
export interface KilledLine {
  prompt: string;
  seed?: number;
  cache?: string;
  steps: number;
}

/**
 * Repeats and other seeds of few prompts: exact hits, and hits of what another seed left, occur whatever
 * the model has learnt.
 */
const REQUESTS: readonly KilledLine[] = [
  { prompt: BALL, seed: 1, steps: 7 },
  { prompt: STAR, seed: 1, steps: 3 },
  { prompt: BALL, seed: 1, steps: 7 },
  { prompt: 'a small blue ball rising in front of a brick wall at dusk', steps: 4 },
  { prompt: BALL, seed: 2, steps: 7 },
  { prompt: STAR, steps: 3, cache: 'readonly' },
  { prompt: BALL, seed: 2, steps: 7 },
  { prompt: BALL, seed: 1, steps: 7 },
];

const STATE = 'state';
const VIDEOS = 'videos';
const COMMAND = ['backfill', 'list.jsonl', '--state', STATE, '--out', VIDEOS, '--json'];

/** A run that is not killed takes about as long as this; later moments would hit nothing. */
const LATEST_KILL_MILLISECONDS = 7000;
/** A run that is not killed changes files about as often. */
const MAX_FILE_CHANGES = 130;

type LineReport = VideoReport & { line: number; alreadyThere: boolean };

/** Twenty lines, each prompt with two seeds, and each of those twice. */
const TWENTY: readonly KilledLine[] = Array.from({ length: 20 }, (_, index) => ({
  prompt: [BALL, STAR, 'a small green ring over the ocean', 'a red ball at dusk', 'a blue star'][
    index % 5
  ]!,
  seed: 1 + (Math.floor(index / 5) % 2),
  steps: 2,
}));

/** A commit changes table and index about as often. */
const MAX_COMMIT_CHANGES = 6;

/**
 * When a process is killed: after a time; at the n-th change of a file, which is when it writes; or at
 * the n-th change of table or index once a line was reported and the next latent was stored, which is
 * when it commits.
 */
export interface KillMoment {
  after: 'milliseconds' | 'file changes' | 'changes of a commit';
  count: number;
}

export interface KilledBackfill {
  folder: string;
  /** What is done. */
  lines: readonly KilledLine[];
  /** The command, or one that runs it on other models. */
  script?: string;
  seed: number;
  kills: number;
  momentOf: (random: RandomSource) => KillMoment;
  /** What must have occurred among the hits, or it was no test; `partial` is any from a donor. */
  hits: readonly ('exact' | 'partial' | 'miss')[];
  say: (line: string) => void;
}

type Kind = Pick<KilledBackfill, 'lines' | 'momentOf' | 'hits'>;

/** Every kind of hit, killed whenever. */
export const AT_ANY_TIME: Kind = {
  lines: REQUESTS,
  momentOf: randomMoment,
  hits: ['exact', 'partial', 'miss'],
};

/** Killed while a video is committed, after another one was reported. */
export const AT_COMMIT: Kind = {
  lines: TWENTY,
  momentOf: (random) => ({
    after: 'changes of a commit',
    count: 1 + random.nextBelow(MAX_COMMIT_CHANGES),
  }),
  hits: ['exact', 'miss'],
};

function randomMoment(random: RandomSource): KillMoment {
  if (random.nextBelow(3) === 0) {
    return { after: 'milliseconds', count: random.nextBelow(LATEST_KILL_MILLISECONDS) };
  }
  return { after: 'file changes', count: 1 + random.nextBelow(MAX_FILE_CHANGES) };
}

/**
 * Runs a backfill that is killed (SIGKILL) at so many random moments, then to its end, then once
 * more, and says everything that is wrong afterwards.
 */
export async function killBackfill(backfill: KilledBackfill): Promise<string[]> {
  const { folder, lines, script, seed, kills, momentOf, say } = backfill;
  const list = lines.map((request) => `${JSON.stringify(request)}\n`).join('');
  await writeFile(join(folder, 'list.jsonl'), list);
  for (const name of [STATE, VIDEOS]) await mkdir(join(folder, name));
  const random = createRandomSource(seed, 'kill');
  const run = (): RunningCommand => startFlexcache(folder, COMMAND, script);
  for (let kill = 1; kill <= kills; kill++) {
    const moment = momentOf(random);
    const running = run();
    const isKilled = await killAt(running, moment, folder);
    const outcome = await running.ended;
    const reported = printedObjects(wholeLines(outcome)).length;
    say(
      `kill ${kill} after ${moment.count} ${moment.after}: ${isKilled ? 'killed' : 'had ended'} after ${reported} lines, ${await uncommitted(folder)} latents stored and not delivered`,
    );
    if (!isKilled && outcome.exitCode !== 0) return [`a run failed: ${outcome.stderr}`];
  }
  const finished = await run().ended;
  const before = await readState(folder);
  const again = await run().ended;
  const after = await readState(folder);
  return [
    ...faultsOfRun('the run to the end', finished),
    ...faultsOfRun('the run after it', again),
    ...(await faultsOfVideos(backfill, finished, before)),
    ...before.findings
      .filter(({ severity, kind }) => severity === 'problem' || kind === 'donor_gone')
      .map(({ kind, id, message }) => `${kind} ${id}: ${message}`),
    ...faultsOfRepetition(again, before, after),
  ];
}

/** Whether the process was killed and had not ended by itself. */
async function killAt(
  running: RunningCommand,
  { after, count }: KillMoment,
  folder: string,
): Promise<boolean> {
  const stop = new AbortController();
  const reached = Promise.withResolvers<void>();
  if (after === 'milliseconds') {
    const timer = setTimeout(reached.resolve, count);
    stop.signal.addEventListener('abort', () => clearTimeout(timer));
  } else {
    let changes = 0;
    let isCommitting = after === 'file changes';
    let hasReported = isCommitting;
    if (!hasReported) void running.printed('\n').then(() => (hasReported = true));
    const watcher = watch(folder, { recursive: true }, (_, file) => {
      if (hasReported && file !== null && LATENT.test(file)) isCommitting = true;
      if (!isCommitting || (after !== 'file changes' && !TABLE_OR_INDEX.test(file ?? ''))) return;
      changes += 1;
      if (changes >= count) reached.resolve();
    });
    stop.signal.addEventListener('abort', () => watcher.close());
  }
  const isReached = await Promise.race([
    reached.promise.then(() => true),
    running.ended.then(() => false),
  ]);
  stop.abort();
  if (isReached) running.kill('SIGKILL');
  return isReached && (await running.ended).exitCode === null;
}

const LATENT = /^state\/objects\/latents\/.*[.]fcl$/;
const TABLE_OR_INDEX = /^state\/(table|vectors)\//;

/** Videos whose worker was through and whose file is not there yet: those that a kill met in their commit. */
async function uncommitted(folder: string): Promise<number> {
  const latents = await readdir(join(folder, STATE, 'objects', 'latents')).catch(() => []);
  const files = new Set(await readdir(join(folder, VIDEOS)));
  return latents.filter((videoId) => !files.has(`${videoId}.mp4`)).length;
}

/** A killed process may have printed half a line. */
function wholeLines(outcome: Outcome): Outcome {
  return { ...outcome, stdout: outcome.stdout.slice(0, outcome.stdout.lastIndexOf('\n') + 1) };
}

interface State extends StateCheck {
  /** Bytes of every object that a job names as its video, by video id. */
  videos: Map<string, Uint8Array>;
}

async function readState(folder: string): Promise<State> {
  await using state = await openState(join(folder, STATE));
  const check = await checkState(state);
  const videos = new Map<string, Uint8Array>();
  for (const { videoId, result } of check.jobs) {
    if (result !== undefined) videos.set(videoId, await state.objects.get(result.videoKey));
  }
  return { ...check, videos };
}

function faultsOfRun(name: string, { exitCode, stderr }: Outcome): string[] {
  return exitCode === 0 && stderr === ''
    ? []
    : [`${name} ended with ${exitCode} and said: ${stderr}`];
}

/** Every line has one completed job and one file with the bytes of its object. */
async function faultsOfVideos(
  { folder, lines: expectedLines, hits: expectedHits }: KilledBackfill,
  run: Outcome,
  state: State,
): Promise<string[]> {
  const faults: string[] = [];
  const reports = printedObjects<LineReport>(run);
  const lines = reports.map(({ line }) => line);
  const expected = expectedLines.map((_, index) => index + 1);
  if (!isDeepStrictEqual(lines, expected)) faults.push(`lines ${lines.join(', ')} were reported`);
  const reported = reports.map(({ id }) => id).sort();
  const jobs = state.jobs.map(({ videoId }) => videoId).sort();
  if (!isDeepStrictEqual(reported, jobs)) {
    faults.push(`jobs ${jobs.join(', ')} for videos ${reported.join(', ')}`);
  }
  for (const { videoId, status } of state.jobs) {
    if (status !== 'completed') faults.push(`job ${videoId} is ${status}`);
  }
  const files = (await readdir(join(folder, VIDEOS))).sort();
  const wanted = jobs.map((videoId) => `${videoId}.mp4`);
  if (!isDeepStrictEqual(files, wanted)) faults.push(`the files are ${files.join(', ')}`);
  for (const { id, video, prompt, seed } of reports) {
    const bytes = await readFile(video);
    if (bytes.toString('latin1', 4, 8) !== 'ftyp') faults.push(`${video} is no MP4`);
    if (!bytes.equals(state.videos.get(id) ?? Buffer.alloc(0))) {
      faults.push(`${video} is not the stored video`);
    }
    const job = state.jobs.find(({ videoId }) => videoId === id);
    if (job?.prompt !== prompt || job.seed !== seed) faults.push(`job ${id} is of another request`);
  }
  const hits = new Set(state.jobs.map(({ result }) => result && groupOf(result.hit)));
  for (const hit of expectedHits) {
    if (!hits.has(hit)) faults.push(`no job was a ${hit}`);
  }
  return faults;
}

function groupOf(hit: HitKind): KilledBackfill['hits'][number] {
  return hit === 'exact' || hit === 'miss' ? hit : 'partial';
}

/** A further run finds everything done: no job, entry or object changes. */
function faultsOfRepetition(again: Outcome, before: State, after: State): string[] {
  const faults = printedObjects<LineReport>(again)
    .filter(({ alreadyThere }) => !alreadyThere)
    .map(({ line }) => `line ${line} was made again`);
  if (!isDeepStrictEqual(after.jobs, before.jobs)) faults.push('the further run changed jobs');
  if (!isDeepStrictEqual(after.entries, before.entries)) {
    faults.push('the further run changed entries');
  }
  return faults;
}
