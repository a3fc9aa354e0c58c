import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { cpus } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { promisify } from 'node:util';
import {
  CALIBRATION_FILE,
  CALIBRATION_FORMAT,
  checkCalibrationFile,
} from '#core/planning/calibration-file.ts';
import { FlexCacheError, InvalidInputError } from '#core/errors.ts';
import { compatibilityKey } from '#core/requests/identity.ts';
import { validateSeed } from '#core/requests/request.ts';
import { elementCount } from '#core/latents/tensor.ts';
import { embedPrompt } from '#functions/shared/embed-prompt.ts';
import type { ExecutionProvider } from '#models/execution-provider.ts';
import { LatentReader } from '#models/latent-reader.ts';
import {
  compatibilityOf,
  loadManifest,
  referenceSteps,
  type ModelPackage,
} from '#models/manifest.ts';
import { describeMissing, missingToMeasure } from '#models/measurable.ts';
import { latentShape, OnnxVideoModel } from '#models/onnx-video-model.ts';
import { openPromptModels } from '#models/prompt-models.ts';
import { fromDigits } from '#readers/request-line.ts';
import { askedValues } from '../calibrate/asked-values.ts';
import { calibrationText } from '../calibrate/calibration-text.ts';
import {
  CalibrationRun,
  MEASURED_SHARES,
  type CalibrationOptions,
  type MeasuredShare,
} from '../calibrate/calibration-run.ts';
import { describeCalibration, describeFullSearch } from '../calibrate/describe-calibration.ts';
import { DonorLatents } from '../calibrate/donor-latents.ts';
import { estimateEvaluations } from '../calibrate/estimate-evaluations.ts';
import { searchFull } from '../calibrate/full-search.ts';
import { parseObjective } from '../calibrate/objective.ts';
import { promptSets, type PromptCase } from '../calibrate/prompt-sets.ts';
import { CalibrationInterruptedError, VideoMaker } from '../calibrate/video-maker.ts';
import { WorkFile } from '../calibrate/work-file.ts';
import { EXIT } from '../context.ts';
import type { CliContext, ExitCode, GlobalOptions } from '../context.ts';
import { progressBar } from '../progress-bar.ts';
import { checkWritable, writeOutput } from '../output-file.ts';

export interface CalibrateOptions extends GlobalOptions {
  objective: string;
  samples: string;
  bins: string;
  precision: string;
  prompts?: string;
  batch?: string;
  seed: string;
  out?: string;
  work?: string;
  quick?: boolean;
  fullOnly?: boolean;
  only?: string;
  json?: boolean;
}

/** Of a network call: more fill a GPU, fewer are as fast on a CPU. */
const BATCH = { cpu: 8, webgpu: 16, cuda: 32 } as const;

/** Beside the calibration, unless said. */
const WORK_FOLDER = 'calibration.work';

const REUSES_IN_A_ROW = 10;
const QUICK_REUSES_IN_A_ROW = 2;

/** With `--quick` the reference has this many times the steps of a full generation. */
const QUICK_REFERENCE = 2;

/** Measures what hits of a package lose, and writes the plans that lose little enough beside it. */
export async function calibrate(
  context: CliContext,
  directory: string,
  options: CalibrateOptions,
): Promise<ExitCode> {
  const started = performance.now();
  const folder = resolve(context.workingDirectory, directory);
  const out = resolve(context.workingDirectory, options.out ?? join(folder, CALIBRATION_FILE));
  const objective = parseObjective(options.objective);
  const numbers = {
    samples: wholeNumber('samples', options.samples, 4),
    bins: wholeNumber('bins', options.bins, 1),
    seed: validateSeed(fromDigits(options.seed)),
    precision: shareOf('precision', options.precision),
  };
  const provider = options.provider ?? 'cpu';
  const batch =
    options.batch === undefined ? BATCH[provider] : wholeNumber('batch', options.batch, 1);
  const modelPackage = await loadManifest(folder);
  const { scheduler, judge } = modelPackage.manifest;
  requireMeasurable(modelPackage);
  const attributes = judge?.attributes ?? [];
  const reference = referenceSteps(modelPackage.manifest);
  const isQuick = options.quick === true;
  const settings: CalibrationOptions = {
    full: { solver: scheduler.solver, steps: scheduler.steps },
    referenceSteps: isQuick ? Math.min(QUICK_REFERENCE * scheduler.steps, reference) : reference,
    objective,
    ...numbers,
    bins: isQuick ? 1 : numbers.bins,
    chainLength: isQuick ? QUICK_REUSES_IN_A_ROW : REUSES_IN_A_ROW,
    supportsRegions: modelPackage.manifest.regions !== undefined,
    supportsPlaces: modelPackage.manifest.regions?.trained === true,
    isQuick,
  };
  const promptFile =
    options.prompts === undefined ? null : resolve(context.workingDirectory, options.prompts);
  const prompts = await promptSets(promptFile, attributes, settings);
  const shares = options.only === undefined ? null : sharesOf(options.only);
  if (options.fullOnly !== true && shares === null) await checkWritable(out);

  const workFolder = resolve(
    context.workingDirectory,
    options.work ?? join(dirname(out), WORK_FOLDER),
  );
  const fingerprint = fingerprintOf(modelPackage, settings, prompts, provider);
  const work = await WorkFile.open(workFolder, fingerprint, shares?.join('_'));
  if (work.size > 0) say(context, `goes on from ${work.size} videos measured before`);
  const model = await OnnxVideoModel.open(modelPackage, { executionProvider: provider });
  const reader = LatentReader.open(modelPackage, { executionProvider: provider });
  let isInterrupted = false;
  const stopListening = context.onInterrupt(() => (isInterrupted = true));
  const progress = new CalibrationProgress(context, estimateEvaluations(settings, prompts));
  try {
    const latents = new DonorLatents(
      compatibilityKey(compatibilityOf(modelPackage)),
      scheduler,
      elementCount(latentShape(modelPackage.manifest)),
    );
    const maker = new VideoMaker(
      { model, reader, manifest: modelPackage.manifest, work, latents },
      {
        batch,
        isInterrupted: () => isInterrupted,
        onEvaluations: (count) => progress.add(count),
      },
    );
    const tuning = await readPrompts(modelPackage, prompts.tuning);
    if (options.fullOnly === true) {
      progress.onStage('full generations');
      const result = await searchFull(maker, tuning, settings);
      progress.stop();
      context.stdout.write(
        options.json
          ? `${JSON.stringify(result.cells, (key, value: unknown) => (key === 'outcomes' ? undefined : value))}\n`
          : describeFullSearch(result, context.columns),
      );
      const found = result.found?.start;
      if (found && (found.steps !== scheduler.steps || found.solver !== scheduler.solver)) {
        say(
          context,
          `model.json has ${scheduler.solver} with ${scheduler.steps} evaluations: set scheduler.solver and scheduler.steps to what was found, then calibrate`,
        );
      }
      return result.found === null ? EXIT.failed : EXIT.success;
    }
    const heldOut = await readPrompts(modelPackage, prompts.heldOut);
    const run = new CalibrationRun(maker, latents, attributes, settings, progress);
    if (shares !== null) {
      await run.measureShares(shares, tuning, heldOut);
      progress.stop();
      say(
        context,
        `measured ${shares.join(', ')} into ${workFolder}: the same command without --only goes on from the work files in its folder`,
      );
      return EXIT.success;
    }
    const { content, thresholds, chains } = await run.run(tuning, heldOut);
    const header = {
      format: CALIBRATION_FORMAT,
      modelRevision: modelPackage.revision,
      createdAt: new Date().toISOString(),
      machine: await machineName(provider),
      provider,
    } as const;
    // Reuses in a row take long and change no plan: who stops there has this one.
    const unlimited = join(workFolder, CALIBRATION_FILE);
    await writeOutput(unlimited, calibrationText({ ...header, ...content }));
    say(context, `wrote the plans to ${unlimited}, with no limit to reuses in a row`);
    const reuses = await run.measureReuses(chains);
    progress.stop();
    const text = calibrationText({ ...header, ...content, ...reuses });
    const file = checkCalibrationFile(out, JSON.parse(text));
    await writeOutput(out, text);
    context.stdout.write(
      options.json
        ? `${JSON.stringify(file)}\n`
        : describeCalibration(file, thresholds, context.columns),
    );
    const seconds = (performance.now() - started) / 1000;
    say(context, `wrote ${out}: ${progress.evaluations} evaluations in ${seconds.toFixed(0)} s`);
    if (file.heldOut?.isWithinObjective !== false) {
      await rm(workFolder, { recursive: true, force: true });
      return EXIT.success;
    }
    say(
      context,
      'the chosen plans are not within the objective on held-out prompts with 95 % confidence: measure more with --samples, or allow more with --objective',
    );
    return EXIT.failed;
  } catch (error) {
    if (error instanceof CalibrationInterruptedError) {
      progress.stop();
      say(context, 'interrupted: the same command goes on where it stood');
      return EXIT.interrupted;
    }
    throw error;
  } finally {
    progress.stop();
    stopListening();
    await Promise.all([model.close(), reader.close(), work.close()]);
  }
}

/** @throws FlexCacheError `model_missing` naming the parts of the package without which nothing of a hit can be measured. */
function requireMeasurable({ directory, manifest }: ModelPackage): void {
  const missing = missingToMeasure(manifest);
  if (missing.length === 0) return;
  throw new FlexCacheError(
    'model_missing',
    `hits of the model package in ${directory} cannot be measured: it has no ${describeMissing(missing)}`,
    {
      field: missing[0]!.field,
      fix: 'add these parts to the package, or set lookup.thresholds in model.json by hand: hits then start conservatively',
    },
  );
}

/** Prompts with their vectors and what they ask for. */
async function readPrompts(
  modelPackage: ModelPackage,
  prompts: readonly string[],
): Promise<PromptCase[]> {
  const attributes = modelPackage.manifest.judge?.attributes ?? [];
  // Texts are short: the CPU is as fast.
  const { embedder, splitter } = await openPromptModels(modelPackage);
  try {
    const cases: PromptCase[] = [];
    for (const prompt of prompts) {
      const embedding = await embedPrompt({ embedder, splitter }, prompt);
      cases.push({ prompt, asked: askedValues(attributes, prompt), embedding });
    }
    return cases;
  } finally {
    await embedder.close();
  }
}

/** Of all that measured videos depend on: other work is never taken for this one's. */
function fingerprintOf(
  { revision, manifest }: ModelPackage,
  settings: CalibrationOptions,
  prompts: { tuning: string[]; heldOut: string[] },
  provider: string,
): string {
  const { full, referenceSteps, seed } = settings;
  const { objectMask, videoVectors } = manifest;
  const decisive = {
    revision,
    full,
    referenceSteps,
    seed,
    prompts,
    provider,
    objectMask,
    videoVectors,
  };
  const content = JSON.stringify(decisive);
  return createHash('sha256').update(content).digest('hex').slice(0, 16);
}

async function machineName(provider: ExecutionProvider): Promise<string> {
  const [cpu] = cpus();
  const processor = `${cpus().length} x ${cpu?.model.trim() ?? 'unknown CPU'}`;
  if (provider === 'cpu') return processor;
  const query = ['--query-gpu=name', '--format=csv,noheader'];
  // Without NVIDIA's tool the processor has to do.
  const gpu = await promisify(execFile)('nvidia-smi', query).catch(() => null);
  const [name] = gpu?.stdout.split('\n') ?? [];
  return name ? `${name}, ${processor}` : processor;
}

/** Says where a calibration stands: a bar where somebody watches, else a line for each stage. */
class CalibrationProgress {
  evaluations = 0;
  readonly #context: CliContext;
  readonly #bar;
  readonly #estimate: number;
  readonly #started = performance.now();
  #stage = '';

  constructor(context: CliContext, estimate: number) {
    this.#context = context;
    this.#estimate = estimate;
    this.#bar = progressBar(context, '{stage} {bar} {value}/{total} evaluations, {left}');
    say(context, `about ${estimate} network evaluations at most`);
  }

  onStage(name: string): void {
    this.#stage = name;
    const seconds = ((performance.now() - this.#started) / 1000).toFixed(0);
    if (this.#context.progress === null) {
      say(this.#context, `${seconds} s, ${this.evaluations} evaluations: ${name}`);
    } else {
      this.add(0);
    }
  }

  add(count: number): void {
    this.evaluations += count;
    const seconds = (performance.now() - this.#started) / 1000;
    const total = Math.max(this.#estimate, this.evaluations);
    const left = ((total - this.evaluations) * seconds) / Math.max(1, this.evaluations);
    this.#bar.update(this.evaluations, total, {
      stage: this.#stage,
      left: this.evaluations === 0 ? '' : `at most ${Math.ceil(left / 60)} min left`,
    });
  }

  stop(): void {
    this.#bar.stop();
  }
}

function say(context: CliContext, text: string): void {
  context.stderr.write(`flexcache: ${text}\n`);
}

function sharesOf(text: string): MeasuredShare[] {
  const names = text.split(',').map((name) => name.trim());
  return names.map((name) => {
    const share = MEASURED_SHARES.find((each) => each === name);
    if (share !== undefined) return share;
    throw new InvalidInputError(
      'only',
      `--only "${text}": there is no "${name}" to measure`,
      `give some of ${MEASURED_SHARES.join(', ')}, with commas between them`,
    );
  });
}

function wholeNumber(field: string, text: string, least: number): number {
  const value = fromDigits(text);
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= least) return value;
  throw new InvalidInputError(
    field,
    `--${field} "${text}" is not a whole number of at least ${least}`,
    `give a whole number from ${least} on`,
  );
}

function shareOf(field: string, text: string): number {
  const value = Number(text);
  if (text.trim() !== '' && value > 0 && value <= 1) return value;
  throw new InvalidInputError(
    field,
    `--${field} "${text}" is not a share`,
    'give a number above 0, at most 1',
  );
}
