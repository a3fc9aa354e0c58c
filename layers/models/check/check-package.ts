import { checkProviderLibraries, type ExecutionProvider } from '../execution-provider.ts';
import { describeMemory, planThisGpu } from '../gpu-memory.ts';
import {
  networkPaths,
  type ModelManifest,
  type ModelPackage,
  type NetworkName,
  type PackageFileName,
} from '../manifest.ts';
import type { Tokens } from '../model.ts';
import { withoutBatch } from '../network-call.ts';
import { OnnxNetworks } from '../onnx-networks.ts';
import { OnnxVideoModel } from '../onnx-video-model.ts';
import { loadCalibration, NOT_CALIBRATED } from '../package-calibration.ts';
import { PromptTokenizer } from '../tokenizer.ts';
import { checkDenoiser } from './check-denoiser.ts';
import { checkEmbedder } from './check-embedder.ts';
import { checkFiles } from './check-files.ts';
import { checkNetwork } from './check-network.ts';
import { attempt, failed, passed, remark, skipped, type Finding } from './finding.ts';
import { missingParts } from './missing-parts.ts';
import { madeUpSamples } from './network-run.ts';

export interface CheckOptions {
  /** `cpu` unless said. */
  executionProvider?: ExecutionProvider;
  /** Runs no network. */
  filesOnly?: boolean;
}

const PROMPT = 'a red ball over a green meadow';
const TEXTS = [PROMPT, 'a red ball', 'over a green meadow'];

/** What loading a manifest failed with: one finding for each field that is wrong. */
export function manifestFindings(error: unknown): Finding[] {
  const cause = error instanceof Error ? error.cause : undefined;
  const problems: unknown[] = cause instanceof AggregateError ? cause.errors : [error];
  return problems.map((problem) => failed('manifest', problem));
}

/**
 * Checks a model package as the worker uses it: each file, the tokenizer, the calibration, each network on
 * sample inputs, what the sampler asks of the denoiser, and the worker's own start. What fails keeps only that from being
 * checked which builds on it.
 *
 * @param modelPackage with a manifest that is right; its files need not be
 */
export async function* checkPackage(
  modelPackage: ModelPackage,
  options: CheckOptions = {},
): AsyncGenerator<Finding> {
  const { manifest, revision } = modelPackage;
  yield passed(
    'manifest',
    `${manifest.name} ${manifest.version}, ${manifest.format}, revision ${revision.slice(0, 16)}`,
  );
  const damaged = new Set<PackageFileName>();
  for await (const { finding, damaged: name } of checkFiles(modelPackage)) {
    if (name !== null) damaged.add(name);
    yield finding;
  }
  const { finding, tokenizer } = await checkTokenizer(modelPackage, damaged);
  yield finding;
  yield await checkCalibration(modelPackage);
  yield* missingParts(manifest);
  if (options.filesOnly === true) {
    yield skipped('networks', 'none was opened: files only');
    return;
  }
  yield* checkNetworks(modelPackage, damaged, tokenizer, options.executionProvider ?? 'cpu');
}

async function checkTokenizer(
  modelPackage: ModelPackage,
  damaged: ReadonlySet<PackageFileName>,
): Promise<{ finding: Finding; tokenizer: PromptTokenizer | null }> {
  const check = 'tokenizer';
  if (damaged.has(check)) {
    return { finding: skipped(check, 'its file is not as declared'), tokenizer: null };
  }
  try {
    const tokenizer = await PromptTokenizer.open(modelPackage);
    const tokens = describeTokens(tokenizer.encode(PROMPT), modelPackage.manifest);
    return { finding: passed(check, tokens), tokenizer };
  } catch (error) {
    return { finding: failed(check, error), tokenizer: null };
  }
}

function describeTokens({ mask, cut }: Tokens, { text }: ModelManifest): string {
  const count = mask.reduce((sum, set) => sum + Number(set), 0) + cut;
  return `${JSON.stringify(PROMPT)} has ${count} tokens; ${text.maxTokens} are read at most`;
}

async function checkCalibration(modelPackage: ModelPackage): Promise<Finding> {
  try {
    const { file, advice } = await loadCalibration(modelPackage);
    if (file === null) return remark('calibration', `${NOT_CALIBRATED}; ${advice}`);
    return passed('calibration', `${file.digest}, of ${file.createdAt}, of this revision`);
  } catch (error) {
    return failed('calibration', error);
  }
}

async function* checkNetworks(
  modelPackage: ModelPackage,
  damaged: ReadonlySet<PackageFileName>,
  tokenizer: PromptTokenizer | null,
  executionProvider: ExecutionProvider,
): AsyncGenerator<Finding> {
  try {
    await checkProviderLibraries(executionProvider);
  } catch (error) {
    yield failed('provider', error);
    return;
  }
  const { manifest } = modelPackage;
  if (executionProvider === 'cuda') yield await attempt('gpu memory', () => gpuMemory(manifest));
  const samples = madeUpSamples(manifest, tokenizer, PROMPT);
  let isSound = tokenizer !== null;
  for (const [network, path] of Object.entries(networkPaths(modelPackage)) as [
    NetworkName,
    string,
  ][]) {
    if (damaged.has(network)) {
      isSound = false;
      yield skipped(`network ${network}`, 'a file of it is not as declared');
      continue;
    }
    if (network === 'embedder' && damaged.has('embedderTokenizer')) {
      isSound = false;
      yield skipped(`network ${network}`, 'its tokenizer is not as declared');
      continue;
    }
    // One after the other, so that the largest decides how much memory this takes.
    const networks = new OnnxNetworks({ [network]: path }, { executionProvider });
    try {
      if (network === 'embedder') {
        const found = await checkEmbedder(modelPackage, networks, executionProvider, TEXTS);
        isSound &&= found.every(({ result }) => result !== 'failed');
        yield* found;
        continue;
      }
      const { findings, outputs } = await checkNetwork(modelPackage, network, networks, samples);
      yield* findings;
      isSound &&= outputs !== null;
      if (outputs === null) continue;
      if (network === 'textEncoder' && tokenizer !== null) {
        // The text tower is not open here: a parser finds the object's words.
        const { splitter: _, ...unlabelled } = manifest;
        const model = new OnnxVideoModel(networks, tokenizer, unlabelled);
        samples.conditions = [await model.encodeText(PROMPT), await model.encodeText(null)];
      }
      if (network === 'denoiser') {
        const more = await checkDenoiser(networks, manifest, samples.conditions);
        isSound &&= more.every(({ result }) => result !== 'failed');
        yield* more;
      }
      // The encoder then takes what the decoder gives.
      if (network === 'vaeDecoder') samples.video = withoutBatch(outputs.get('video')!);
    } finally {
      await networks.close();
    }
  }
  yield isSound
    ? await attempt('worker', () => startWorker(modelPackage, executionProvider))
    : skipped('worker', 'what it needs is not right');
}

async function gpuMemory(manifest: ModelManifest): Promise<string> {
  const plan = await planThisGpu(manifest);
  return plan === null ? 'not known: nvidia-smi does not tell' : describeMemory(plan);
}

/** All networks together, loaded and run as the worker does it before it takes its first request. */
async function startWorker(
  modelPackage: ModelPackage,
  executionProvider: ExecutionProvider,
): Promise<string> {
  const startedAt = performance.now();
  const model = await OnnxVideoModel.open(modelPackage, { executionProvider });
  try {
    await model.warmUp();
  } finally {
    await model.close();
  }
  return `ready in ${((performance.now() - startedAt) / 1000).toFixed(2)} s with all networks on ${executionProvider}`;
}
