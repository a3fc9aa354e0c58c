import { resolve } from 'node:path';
import { InvalidInputError } from '#core/errors.ts';
import type { Scope } from '#core/generation.ts';
import { parseMeasuredPrices } from '#core/pricing/measured-prices.ts';
import { priceBookOf } from '#core/pricing/prices.ts';
import { validateScope, validateSeed } from '#core/requests/request.ts';
import { STORAGE_CLASSES, type StorageClass } from '#core/costs/storage-class.ts';
import { fromDigits } from '#readers/request-line.ts';
import { EXIT } from '../context.ts';
import type { CliContext, ExitCode, GlobalOptions } from '../context.ts';
import { progressBar } from '../progress-bar.ts';
import { embedTrace } from '../simulate/embed-trace.ts';
import { ASSUMED_START } from '../simulate/import-prompts.ts';
import { openTrace, type OpenedTrace } from '../simulate/open-trace.ts';
import { parseCapacities, parseCapacity, parsePolicies } from '../simulate/parse-lists.ts';
import { promptThresholds } from '../simulate/prompt-thresholds.ts';
import { givenVectors } from '../simulate/precomputed-embeddings.ts';
import type { PromptVectors } from '../simulate/prompt-vectors.ts';
import {
  countDistinct,
  runSimulation,
  type SimulationQuestion,
  type TierName,
} from '../simulate/run-simulation.ts';
import { simulationJson } from '../simulate/simulation-json.ts';
import { simulationTable } from '../simulate/simulation-table.ts';
import { parseVideoProfile, profileOf } from '../simulate/video-profile.ts';
import type { Simulation } from '../simulate/describe-simulation.ts';
import { checkWritable, writeOutput } from '../output-file.ts';

export const SIMULATION_FORMATS = ['table', 'json', 'html'] as const;

export interface SimulateOptions extends GlobalOptions {
  policies: string;
  capacity: string;
  tier: string;
  fastSize: string;
  prices: string;
  override?: string;
  videoProfile: string;
  embedder?: string;
  thresholds?: string;
  embeddings?: string;
  scope: string;
  storageClass: string;
  rate: string;
  seed: string;
  shuffle?: boolean;
  format: (typeof SIMULATION_FORMATS)[number];
  /** The same as the format `json`. */
  json?: boolean;
  out?: string;
}

const NO_THRESHOLDS = { whole: 1, object: 1, background: 1 };

/** Says what a trace would have cost with other caches and other policies, without a GPU. */
export async function simulate(
  context: CliContext,
  file: string,
  options: SimulateOptions,
): Promise<ExitCode> {
  const path = resolve(context.workingDirectory, file);
  const out = options.out === undefined ? null : resolve(context.workingDirectory, options.out);
  // Everything that can be wrong is looked at before the work.
  questionOf(options, 1);
  checkThresholds(options);
  const times = { requestsPerDay: Number(options.rate), start: ASSUMED_START };
  if (out !== null) await checkWritable(out);
  const trace = await openTrace(path, times);
  const embedded = await embed(context, path, trace, options);
  if (embedded === null) return EXIT.interrupted;
  const { requests, embedder } = embedded;
  const asked = questionOf(options, countDistinct(requests));
  const question = { ...asked, profile: profileOf(asked.profile, embedder.steps) };
  const answer = await runSimulation(requests, embedder, question);
  const simulation = { path: file, trace, embedder, question, answer };
  const text = await render(simulation, options.json ? 'json' : options.format);
  if (out === null) {
    context.stdout.write(text);
  } else {
    await writeOutput(out, text);
    context.stderr.write(`flexcache: wrote ${out}\n`);
  }
  return EXIT.success;
}

async function render(simulation: Simulation, format: SimulateOptions['format']): Promise<string> {
  switch (format) {
    case 'table':
      return simulationTable(simulation);
    case 'json':
      return simulationJson(simulation);
    case 'html': {
      // What draws charts is large, and few ask for them.
      const { simulationPage } = await import('../simulate/simulation-page.ts');
      return simulationPage(simulation);
    }
  }
}

function checkThresholds({ thresholds, embedder }: SimulateOptions): void {
  if (thresholds === undefined) return;
  promptThresholds(NO_THRESHOLDS, thresholds);
  if (embedder === undefined) return;
  throw new InvalidInputError(
    'thresholds',
    'a sentence encoder brings its own ladder',
    'change ladder in its embedder.json, or leave --thresholds out',
  );
}

function questionOf(options: SimulateOptions, distinctRequests: number): SimulationQuestion {
  priceBookOf(options.prices);
  const profile = parseVideoProfile(options.videoProfile);
  const fast = parseCapacity(options.fastSize, distinctRequests).capacity;
  const fastTierBytes = fast.latentBytes ?? (fast.entries ?? Number.NaN) * profile.latentBytes;
  if (!Number.isFinite(fastTierBytes)) {
    throw new InvalidInputError(
      'fast-size',
      'a fast tier without a limit is no tier',
      'give it entries, bytes or a share',
    );
  }
  return {
    policies: parsePolicies(options.policies),
    capacities: parseCapacities(options.capacity, distinctRequests),
    tiers: parseTiers(options.tier),
    fastTierBytes,
    profile,
    region: options.prices,
    measured:
      options.override === undefined
        ? new Map()
        : parseMeasuredPrices(options.override, '--override'),
    scope: validateScope(options.scope) satisfies Scope,
    storageClass: parseStorageClass(options.storageClass),
    seed: validateSeed(fromDigits(options.seed)),
    isShuffled: options.shuffle === true,
  };
}

function parseTiers(text: string): TierName[] {
  const tiers = text.split(',').map((name) => {
    const tier = name.trim();
    if (tier === 'object' || tier === 'fast') return tier;
    throw new InvalidInputError('tier', `tier "${tier}" is not known`, 'use object, fast or both');
  });
  return [...new Set(tiers)];
}

function parseStorageClass(text: string): StorageClass {
  const found = STORAGE_CLASSES.find((name) => name === text);
  if (found !== undefined) return found;
  throw new InvalidInputError(
    'storage-class',
    `storage class "${text}" is not known`,
    `use one of ${STORAGE_CLASSES.join(', ')}`,
  );
}

/** The requests with their vectors; null when it was interrupted. */
async function embed(
  context: CliContext,
  path: string,
  trace: OpenedTrace,
  options: SimulateOptions,
): Promise<{
  requests: NonNullable<Awaited<ReturnType<typeof embedTrace>>>;
  embedder: PromptVectors;
} | null> {
  // Models are large: commands that do without them start without them.
  const { openPackageVectors, openSentenceVectors } = await import('../simulate/prompt-vectors.ts');
  const folder = (name: string): string => resolve(context.workingDirectory, name);
  const embedder =
    options.embedder === undefined
      ? await openPackageVectors(folder(options.model), (given) =>
          promptThresholds(given, options.thresholds),
        )
      : await openSentenceVectors(folder(options.embedder));
  const bar = progressBar(context, 'embedding {bar} {value}/{total} prompts');
  let isInterrupted = false;
  const stopListening = context.onInterrupt(() => (isInterrupted = true));
  try {
    const [first] = trace.requests;
    if (first?.vectors) {
      const requests = givenVectors(trace.requests, embedder);
      return { requests, embedder };
    }
    const file = embeddingsFile(context, path, options);
    if (file !== null) await checkWritable(file);
    const requests = await embedTrace(trace.requests, embedder, {
      file,
      onProgress: (done, total) => bar.update(done, total, {}),
      isInterrupted: () => isInterrupted,
    });
    return requests === null ? null : { requests, embedder };
  } finally {
    stopListening();
    bar.stop();
    await embedder.close();
  }
}

function embeddingsFile(
  context: CliContext,
  path: string,
  { embeddings }: SimulateOptions,
): string | null {
  if (embeddings === 'none') return null;
  return embeddings === undefined
    ? `${path}.embeddings`
    : resolve(context.workingDirectory, embeddings);
}
