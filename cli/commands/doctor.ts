import { createRequire } from 'node:module';
import { existsSync } from 'node:fs';
import { readdir, stat, statfs } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { FlexCacheError } from '#core/errors.ts';
import type { StateFinding } from '#local/check-state.ts';
import { stateExists } from '#local/state-folder.ts';
import { lockHolder } from '#local/state-lock.ts';
import {
  checkProviderLibraries,
  EXECUTION_PROVIDERS,
  type ExecutionProvider,
} from '#models/execution-provider.ts';
import { describeLookup, lookupTraits, type LookupTraits } from '#models/lookup-traits.ts';
import { loadManifest } from '#models/manifest.ts';
import { verifyPackage } from '#models/verify-package.ts';
import { loadCalibration, NOT_CALIBRATED } from '#models/package-calibration.ts';
import { EXIT } from '../context.ts';
import type { CliContext, ExitCode, GlobalOptions } from '../context.ts';
import { errorReport } from '../error-line.ts';
import type { ErrorReport } from '../error-line.ts';
import { describeProvider, inspectProvider } from '../provider-report.ts';
import type { ProviderReport } from '../provider-report.ts';

export interface DoctorOptions extends GlobalOptions {
  deep?: boolean;
  json?: boolean;
}

/** A Node: its version, as `process.version` writes it, and the path of its executable. */
interface NodeReport {
  version: string;
  path: string;
}

interface SoundModel {
  path: string;
  name: string;
  version: string;
  revision: string;
  verified: true;
  /** Null without `calibration.json`: then hits start from conservative points. */
  calibration: { digest: string; createdAt: string } | null;
  /** What to do about it where there is none. */
  advice: string;
  /** How requests are looked up: by what the package brings, or by what stands in for it. */
  lookup: LookupTraits;
}

interface DoctorReport {
  /** What runs; `found` is the one that started it where that is too old to run it, else null. */
  node: NodeReport & { found: NodeReport | null };
  /** Providers whose libraries are there. */
  onnxruntime: { version: string; providers: ExecutionProvider[] } | { error: ErrorReport };
  /** With an error where the folder is none of ours, or its table is damaged. */
  state: {
    path: string;
    exists: boolean;
    bytes: number;
    lockedByProcess: number | null;
    error?: ErrorReport;
  };
  model: SoundModel | { path: string; error: ErrorReport };
  gpu: { device: boolean; provider: string | null };
  /** With `--provider`: whether a network of the model can be opened on it. */
  provider?: ProviderReport;
  disk: { freeBytes: number };
  /** With `--deep`, of a state folder that exists. */
  content?: ContentReport;
}

type ContentReport =
  | { entries: number; jobs: number; problems: StateFinding[]; remarks: StateFinding[] }
  | { error: ErrorReport };

/** What NVIDIA's driver creates for its first GPU. */
const NVIDIA_DEVICE = '/dev/nvidia0';

/**
 * Looks at everything a run depends on without changing or locking any of it. With `--deep` it holds
 * the state folder while it reads all that is stored.
 */
export async function doctor(context: CliContext, options: DoctorOptions): Promise<ExitCode> {
  const statePath = resolve(context.workingDirectory, options.state);
  const onnxruntime = await inspectOnnxRuntime();
  const report: DoctorReport = {
    node: inspectNode(),
    onnxruntime,
    state: await inspectState(statePath),
    model: await inspectModel(resolve(context.workingDirectory, options.model)),
    gpu: inspectGpu('providers' in onnxruntime ? onnxruntime.providers : []),
    disk: { freeBytes: await freeBytes(statePath) },
  };
  if (options.provider !== undefined) {
    report.provider = await inspectProvider(options.provider, report.model.path);
  }
  if (options.deep && report.state.exists) report.content = await inspectContent(statePath);
  context.stdout.write(options.json ? `${JSON.stringify(report)}\n` : describe(report));
  const isSound =
    !('error' in report.model) &&
    !('error' in report.onnxruntime) &&
    report.state.error === undefined &&
    !(report.provider !== undefined && 'error' in report.provider) &&
    !isDamaged(report.content);
  return isSound ? EXIT.success : EXIT.failed;
}

/** The launcher says which Node it was started with when it starts another one. */
function inspectNode(): DoctorReport['node'] {
  const found = process.env['FLEXCACHE_FOUND_NODE'];
  return {
    version: process.version,
    path: process.execPath,
    found: found === undefined ? null : (JSON.parse(found) as NodeReport),
  };
}

async function inspectContent(path: string): Promise<ContentReport> {
  try {
    const { checkState, openState } = await import('#local/check-state.ts');
    await using state = await openState(path, 'read');
    const { entries, jobs, findings } = await checkState(state);
    const of = (severity: StateFinding['severity']): StateFinding[] =>
      findings.filter((finding) => finding.severity === severity);
    return {
      entries: entries.length,
      jobs: jobs.length,
      problems: of('problem'),
      remarks: of('remark'),
    };
  } catch (error) {
    return { error: errorReport(error) };
  }
}

function isDamaged(content: ContentReport | undefined): boolean {
  return content !== undefined && ('error' in content || content.problems.length > 0);
}

async function inspectOnnxRuntime(): Promise<DoctorReport['onnxruntime']> {
  try {
    const require = createRequire(import.meta.url);
    // Loads its library, or says why it cannot.
    require('onnxruntime-node');
    const { version } = require('onnxruntime-node/package.json') as { version: string };
    const usable = await Promise.all(EXECUTION_PROVIDERS.map(hasLibraries));
    return { version, providers: EXECUTION_PROVIDERS.filter((_, index) => usable[index]) };
  } catch (error) {
    return { error: errorReport(error) };
  }
}

async function hasLibraries(provider: ExecutionProvider): Promise<boolean> {
  try {
    await checkProviderLibraries(provider);
    return true;
  } catch (error) {
    if (error instanceof FlexCacheError) return false;
    throw error;
  }
}

async function inspectState(path: string): Promise<DoctorReport['state']> {
  const lockedByProcess = (await lockHolder(path))?.pid ?? null;
  try {
    const exists = await stateExists(path);
    // Who holds it has opened its table.
    if (exists && lockedByProcess === null) await tryTable(path);
    return { path, exists, bytes: exists ? await folderBytes(path) : 0, lockedByProcess };
  } catch (error) {
    return { path, exists: true, bytes: 0, lockedByProcess, error: errorReport(error) };
  }
}

async function tryTable(path: string): Promise<void> {
  // The table's server is large: commands that do without it start without it.
  const { openTable } = await import('#local/open-table.ts');
  await using _ = await openTable(path, 'read');
}

async function inspectModel(path: string): Promise<DoctorReport['model']> {
  try {
    const modelPackage = await loadManifest(path);
    await verifyPackage(modelPackage);
    const { file, thresholds, advice } = await loadCalibration(modelPackage);
    const { manifest, revision } = modelPackage;
    const { name, version } = manifest;
    const calibration = file && { digest: file.digest, createdAt: file.createdAt };
    const traits = lookupTraits(manifest);
    const lookup = { ...traits, thresholds, hasThresholds: file !== null || traits.hasThresholds };
    return { path, name, version, revision, verified: true, calibration, advice, lookup };
  } catch (error) {
    return { path, error: errorReport(error) };
  }
}

/** Which provider could use the GPU; null when there is no GPU or none of them is installed. */
function inspectGpu(providers: readonly ExecutionProvider[]): DoctorReport['gpu'] {
  const device = existsSync(NVIDIA_DEVICE);
  const provider = device
    ? (['cuda', 'webgpu'] as const).find((name) => providers.includes(name))
    : undefined;
  return { device, provider: provider ?? null };
}

async function folderBytes(path: string): Promise<number> {
  let bytes = 0;
  for (const entry of await readdir(path, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const stats = await stat(join(entry.parentPath, entry.name)).catch(() => null);
    bytes += stats?.size ?? 0;
  }
  return bytes;
}

async function freeBytes(path: string): Promise<number> {
  let folder = path;
  while (!existsSync(folder)) folder = dirname(folder);
  const { bavail, bsize } = await statfs(folder);
  return bavail * bsize;
}

function describe(report: DoctorReport): string {
  const { node, onnxruntime, state, model, gpu, provider, disk, content } = report;
  const onnxruntimeText =
    'error' in onnxruntime
      ? `NOT USABLE: ${onnxruntime.error.message}`
      : `${onnxruntime.version}, providers ${onnxruntime.providers.join(', ')}`;
  const modelText =
    'error' in model
      ? `NOT USABLE: ${model.error.code}: ${model.error.message}`
      : `${model.name} ${model.version}, revision ${model.revision.slice(0, 16)}, every file verified`;
  const nodeText =
    node.found === null
      ? `${node.version}, ${node.path}`
      : `${node.version}, ${node.path}; found first: ${node.found.version}, ${node.found.path}, too old`;
  const gpuText = gpu.device
    ? `present, ${gpu.provider === null ? 'but no provider for it is installed; see flexcache install-gpu' : `usable with --provider ${gpu.provider}`}`
    : 'none, models run on the CPU';
  return [
    `node         ${nodeText}`,
    `onnxruntime  ${onnxruntimeText}`,
    `state        ${state.path}, ${describeState(state)}`,
    `model        ${modelText}`,
    ...('error' in model
      ? []
      : [
          `calibration  ${describeCalibration(model)}`,
          ...describeLookup(model.lookup).map(
            (line, index) => `${(index === 0 ? 'look-up' : '').padEnd(11)}  ${line}`,
          ),
        ]),
    `gpu          ${gpuText}`,
    ...(provider === undefined
      ? []
      : [`provider     ${provider.name} ${describeProvider(provider)}`]),
    `disk         ${(disk.freeBytes / 2 ** 30).toFixed(1)} GiB free`,
    ...(content === undefined ? [] : describeContent(content)),
    '',
  ].join('\n');
}

function describeCalibration({ calibration, advice }: SoundModel): string {
  if (calibration === null) return `${NOT_CALIBRATED}; ${advice}`;
  return `${calibration.digest}, of ${calibration.createdAt}`;
}

function describeState({ exists, bytes, lockedByProcess, error }: DoctorReport['state']): string {
  if (error !== undefined) return `NOT USABLE: ${error.code}: ${error.message}`;
  if (!exists) return 'not created yet';
  const use = lockedByProcess === null ? 'not in use' : `in use by process ${lockedByProcess}`;
  return `${bytes} bytes, ${use}`;
}

function describeContent(content: ContentReport): string[] {
  if ('error' in content) {
    return [`content      NOT READABLE: ${content.error.code}: ${content.error.message}`];
  }
  const { entries, jobs, problems, remarks } = content;
  return [
    `content      ${entries} entries, ${jobs} jobs, ${problems.length} problems, ${remarks.length} leftovers`,
    ...[...problems, ...remarks].map(
      ({ severity, kind, id, message }) => `  ${severity.padEnd(7)}  ${kind} ${id}: ${message}`,
    ),
  ];
}
