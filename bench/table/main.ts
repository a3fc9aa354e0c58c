import { fork } from 'node:child_process';
import { mkdir, readFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { writeFileAtomically } from '#files/write-file-atomically.ts';
import { InvalidInputError } from '#core/errors.ts';
import { EXECUTION_PROVIDERS, type ExecutionProvider } from '#models/execution-provider.ts';
import { loadManifest, referenceSteps } from '#models/manifest.ts';
import { OnnxVideoModel } from '#models/onnx-video-model.ts';
import type { CalibrationFile } from '#core/planning/calibration-file.ts';
import { benchCalibration } from './calibrations.ts';
import { LatentNetworks } from './networks.ts';
import { embedPrompts } from './prompts.ts';
import { benchRequests, type BenchRequest } from './requests.ts';
import type { RowResult } from './result.ts';
import { needsTuning, ROWS, type FullGenerations, type FullName, type Row } from './rows.ts';
import { planRow, runRow } from './run-row.ts';
import { describeMachine, type Settings } from './settings.ts';
import { measureTiming, TIMING_FILE, type Timing } from './timing.ts';
import { assumedTuning, tuneRivals, tuningEvaluations, type Tuning } from './tuning.ts';

/**
 * Replays one trace through FlexCache and its rivals in one engine, really denoising every video, and writes what each
 * row came to: hits, evaluations, quality, bytes. `bench/table/report.ts`, which it ends with, makes docs/evaluation.md and
 * its figures of it.
 *
 *     node bench/table/main.ts [--provider cpu] [--requests 2000] [--seed 1] [--measured 1024] [--tuning 160]
 *         [--batch 24] [--jobs 1] [--systems ID,ID] [--out docs/evaluation] [--work DIR] [--model DIR]
 *         [--plans-only] [--timing-only] [--without-report]
 *
 * Rows that are in `--out` already, for the same trace and model, are left as they are; each is written when it is done.
 * `--plans-only` makes no videos: what every system would do, in minutes on a CPU and without a word on quality.
 * `--requests 24 --measured 8 --tuning 14` rehearses all of it on a CPU. docs/evaluation.md says what is compared.
 */
const { values: flags } = parseArgs({
  options: {
    provider: { type: 'string', default: 'cpu' },
    requests: { type: 'string', default: '2000' },
    seed: { type: 'string', default: '1' },
    measured: { type: 'string', default: '1024' },
    tuning: { type: 'string', default: '160' },
    batch: { type: 'string', default: '24' },
    jobs: { type: 'string', default: '1' },
    systems: { type: 'string' },
    out: { type: 'string', default: 'docs/evaluation' },
    work: { type: 'string', default: '.flexcache/table' },
    model: { type: 'string', default: 'containers/demo-model/package' },
    'real-clips': { type: 'string', default: 'docs/evaluation/real-clips.f16' },
    'plans-only': { type: 'boolean', default: false },
    'timing-only': { type: 'boolean', default: false },
    'without-report': { type: 'boolean', default: false },
    child: { type: 'string' },
  },
});

/** The tuning split is a trace of another seed. */
const TUNING_SEED = 7919;
/** Euler's smallest N within 1 % of adherence and 5 % of Frechet distance of N=50 (the demo package's quality.json). */
const EULER_STEPS = 10;
const FEW_STEPS = 4;
const OBJECTIVE = 0.01;
const TIMING_REPEATS = 5;
/** Seconds of one evaluation in a full batch, for the forecast alone. */
const ASSUMED_SECONDS: Readonly<Record<ExecutionProvider, number>> = {
  cpu: 0.2,
  webgpu: 0.004,
  cuda: 0.0008,
};

const settings: Settings = {
  model: flags.model,
  provider: providerOf(flags.provider),
  requests: count('requests'),
  seed: count('seed'),
  measured: count('measured'),
  isPlanned: flags['plans-only'],
  tuning: count('tuning'),
  batch: count('batch'),
  jobs: count('jobs'),
  threads: { intraOpThreads: Math.max(1, Math.floor(availableParallelism() / count('jobs'))) },
  results: resolve(flags.out),
  work: resolve(flags.work),
  realClips: resolve(flags['real-clips']),
  pictures: ['ours'],
};
const modelPackage = await loadManifest(settings.model);
const calibration = await benchCalibration(modelPackage);
const fulls = fullsOf(calibration);
if (flags['timing-only']) await writeTiming();
else if (flags.child === undefined) await runAll(chosenRows());
else await runChild(flags.child);

async function runAll(rows: readonly Row[]): Promise<void> {
  const start = performance.now();
  await mkdir(settings.results, { recursive: true });
  await mkdir(settings.work, { recursive: true });
  const requests = traceOf();
  const split = tuningSplit();
  log(`embedding the prompts of ${requests.length + split.length} requests`);
  await embedPrompts(
    modelPackage,
    [...requests, ...split].map(({ prompt }) => prompt),
    embeddingsFile(),
  );
  forecast(rows, requests, split);
  if (!settings.isPlanned) await writeTiming();
  const tunings = settings.isPlanned
    ? []
    : [...new Set(rows.filter(needsTuning).map(({ full }) => full))];
  const waiting = await unfinished(rows);
  // What others wait for begins first; rows without it run beside it.
  const first = tunings.map((name) => `tuning:${name}`);
  const before = waiting
    .filter((row) => !needsTuning(row))
    .sort((one, other) => urgency(one) - urgency(other))
    .map(({ id }) => `row:${id}`);
  const after = waiting.filter(needsTuning);
  const tuned = new Map(first.map((name) => [name, Promise.withResolvers<void>()]));
  await inTurn(
    [
      ...first.map((name) => async () => {
        await child(name).then(tuned.get(name)!.resolve, tuned.get(name)!.reject);
        await tuned.get(name)!.promise;
      }),
      ...before.map((name) => () => child(name)),
      ...after.map((row) => async () => {
        await tuned.get(`tuning:${row.full}`)?.promise;
        await child(`row:${row.id}`);
      }),
    ],
    settings.jobs,
  );
  log(`${rows.length} rows in ${((performance.now() - start) / 1000).toFixed(0)} s`);
  if (flags['without-report']) return;
  const report = ['--results', settings.results, '--docs', dirname(settings.results)];
  await forked('./report.ts', [...report, '--model', settings.model]);
}

/** What a run that is cut short should have: what all are compared with, then ours. */
function urgency({ kind, without, isShuffled = false }: Row): number {
  if (kind === 'none') return 0;
  if (kind === 'ours' && without === undefined && !isShuffled) return 1;
  return 2;
}

async function runChild(name: string): Promise<void> {
  const [kind, id] = name.split(':') as [string, string];
  const embeddings = await embedPrompts(modelPackage, [], embeddingsFile());
  if (kind === 'tuning') {
    const file = tuningFile(id as FullName);
    if ((await readJson<Tuning>(file)) !== null) return;
    const options = { executionProvider: settings.provider, ...settings.threads };
    const model = await OnnxVideoModel.open(modelPackage, options);
    const networks = new LatentNetworks(modelPackage, options);
    const tuning = await tuneRivals(tuningSplit(), {
      manifest: modelPackage.manifest,
      model,
      networks,
      embeddings,
      full: fulls[id as FullName],
      batch: 2 * settings.batch,
      objective: OBJECTIVE,
      onProgress: (done, all) => log(`tuning ${id}: ${done} of ${all} hits`),
    });
    await writeFileAtomically(file, `${JSON.stringify(tuning)}\n`);
    await Promise.all([model.close(), networks.close()]);
    return;
  }
  const row = ROWS.find((each) => each.id === id)!;
  const requests = traceOf(row.isShuffled);
  const start = performance.now();
  await (settings.isPlanned ? planRow : runRow)(row, {
    settings,
    modelPackage,
    fulls,
    calibration,
    requests,
    measured: measuredOf(requests),
    embeddings,
    tuning: needsTuning(row) ? await tuningOf(row) : null,
  });
  log(`${id}: ${((performance.now() - start) / 1000).toFixed(1)} s`);
}

/** Runs `work` one after the other, `most` at a time; the first error ends it once what runs is done. */
async function inTurn(work: readonly (() => Promise<void>)[], most: number): Promise<void> {
  const waiting = [...work];
  const errors: unknown[] = [];
  await Promise.all(
    Array.from({ length: most }, async () => {
      for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
        try {
          await next();
        } catch (error) {
          errors.push(error);
        }
      }
    }),
  );
  if (errors.length > 0) throw errors[0];
}

/** A process for each row: a replay keeps its thread busy with more than the network. */
function child(name: string): Promise<void> {
  return forked('./main.ts', [...process.argv.slice(2), '--child', name]);
}

function forked(file: string, parameters: readonly string[]): Promise<void> {
  return new Promise((settle, reject) => {
    const running = fork(new URL(file, import.meta.url), parameters);
    running.on('error', reject);
    running.on('exit', (code) => {
      if (code === 0) settle();
      else reject(new Error(`${file} ${parameters.join(' ')} ended with ${code}`));
    });
  });
}

function forecast(
  rows: readonly Row[],
  requests: readonly BenchRequest[],
  split: readonly BenchRequest[],
): void {
  const made = requests.filter(({ isExact }) => !isExact).length;
  const tunings = new Set(rows.filter(needsTuning).map(({ full }) => full));
  let evaluations = 0;
  for (const row of rows) {
    evaluations += (row.isOnlyMeasured ? settings.measured : made) * fulls[row.full].steps;
  }
  for (const name of tunings) evaluations += tuningEvaluations(split.length, fulls[name]);
  const seconds = evaluations * ASSUMED_SECONDS[settings.provider];
  log(
    `${rows.length} rows, at most ${evaluations} evaluations: ${seconds.toFixed(0)} s of ${settings.provider} at ${ASSUMED_SECONDS[settings.provider]} s each in full batches`,
  );
}

/** Measures what nobody has measured on this machine; figures of other machines stay. */
async function writeTiming(): Promise<void> {
  const file = join(settings.results, TIMING_FILE);
  const timings = (await readJson<Timing[]>(file)) ?? [];
  const machine = describeMachine();
  for (const provider of new Set<ExecutionProvider>(['cpu', settings.provider])) {
    if (timings.some((known) => known.machine === machine && known.provider === provider)) continue;
    timings.push(await measureTiming(modelPackage, provider, TIMING_REPEATS));
    log(`${provider}: ${JSON.stringify(timings.at(-1))}`);
  }
  await writeFileAtomically(file, `${JSON.stringify(timings, null, 1)}\n`);
}

async function unfinished(rows: readonly Row[]): Promise<Row[]> {
  const waiting: Row[] = [];
  for (const row of rows) {
    const result = await readJson<RowResult>(join(settings.results, `${row.id}.json`));
    const expected = row.isOnlyMeasured ? measuredOf(traceOf()).size : settings.requests;
    const isDone =
      result?.requests.index.length === expected &&
      result.seed === settings.seed &&
      result.isPlanned === settings.isPlanned &&
      result.modelRevision === modelPackage.revision &&
      result.full.solver === fulls[row.full].solver &&
      result.full.steps === fulls[row.full].steps &&
      (row.kind !== 'ours' || result.calibratedAt === calibration.createdAt);
    if (!isDone) waiting.push(row);
  }
  return waiting;
}

function traceOf(shuffled = false): BenchRequest[] {
  return benchRequests({ requests: settings.requests, seed: settings.seed, shuffled });
}

function tuningSplit(): BenchRequest[] {
  return benchRequests({ requests: settings.tuning, seed: settings.seed + TUNING_SEED });
}

/** Evenly spread over the trace, no exact repeats. */
function measuredOf(requests: readonly BenchRequest[]): Set<number> {
  const made = requests.filter(({ isExact }) => !isExact);
  const wanted = Math.min(settings.measured, made.length);
  return new Set(
    Array.from(
      { length: wanted },
      (_, index) => made[Math.floor((index * made.length) / wanted)]!.index,
    ),
  );
}

function fullsOf({ full }: CalibrationFile): FullGenerations {
  const { solver, steps } = full;
  return {
    tuned: { solver, steps },
    euler: { solver: 'euler', steps: EULER_STEPS },
    few: { solver, steps: FEW_STEPS },
    reference: { solver: 'euler', steps: referenceSteps(modelPackage.manifest) },
  };
}

/** Without videos nothing is fitted: what was fitted before, else a ladder that was measured on 32 to 40 prompts. */
async function tuningOf({ full }: Row): Promise<Tuning | null> {
  const fitted = await readJson<Tuning>(tuningFile(full));
  return fitted ?? (settings.isPlanned ? assumedTuning(fulls[full]) : null);
}

function chosenRows(): readonly Row[] {
  if (flags.systems === undefined) {
    // Without videos MoDM has no thresholds, and N=50, codec and regions change no count.
    return settings.isPlanned
      ? ROWS.filter(
          ({ kind, isOnlyMeasured, without }) =>
            kind !== 'modm-like' && !isOnlyMeasured && without !== 'codec' && without !== 'regions',
        )
      : ROWS;
  }
  return flags.systems.split(',').map((id) => {
    const row = ROWS.find((each) => each.id === id);
    if (row !== undefined) return row;
    throw new InvalidInputError(
      'systems',
      `there is no row "${id}"`,
      `name some of ${ROWS.map((each) => each.id).join(', ')}`,
    );
  });
}

function embeddingsFile(): string {
  return join(
    settings.work,
    `prompts-${settings.seed}-${settings.requests}-${settings.tuning}.json`,
  );
}

function tuningFile(name: FullName): string {
  const { steps, solver } = fulls[name];
  return join(
    settings.work,
    `tuning-${solver}-${steps}-${settings.tuning}-${modelPackage.revision.slice(0, 8)}.json`,
  );
}

async function readJson<Content>(path: string): Promise<Content | null> {
  try {
    return JSON.parse(await readFile(path, 'utf8')) as Content;
  } catch {
    return null;
  }
}

function providerOf(name: string): ExecutionProvider {
  const provider = EXECUTION_PROVIDERS.find((each) => each === name);
  if (provider !== undefined) return provider;
  throw new InvalidInputError(
    'provider',
    `"${name}" is no execution provider`,
    `use one of ${EXECUTION_PROVIDERS.join(', ')}`,
  );
}

function count(name: 'requests' | 'seed' | 'measured' | 'tuning' | 'batch' | 'jobs'): number {
  const value = Number(flags[name]);
  if (Number.isInteger(value) && value >= 1) return value;
  throw new InvalidInputError(
    name,
    `--${name} ${flags[name]} is not a whole number above 0`,
    'give one',
  );
}

function log(text: string): void {
  process.stderr.write(`[${new Date().toISOString().slice(11, 19)}] ${text}\n`);
}
