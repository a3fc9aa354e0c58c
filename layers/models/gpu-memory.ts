import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { FlexCacheError } from '#core/errors.ts';
import { networkBytes, type ModelManifest, type NetworkName } from './manifest.ts';

const run = promisify(execFile);

/** What CUDA itself takes of a process's memory, before any network. */
const CUDA_BYTES = 2 ** 29;
const GIB = 2 ** 30;

/** What networks may take of a GPU together, and what each takes: those that do not fit beside each other take turns. */
export interface NetworkMemory {
  bytes: number;
  needs: Partial<Record<NetworkName, number>>;
}

/** A package's networks and a GPU. */
export interface MemoryPlan extends NetworkMemory {
  /** Whether the exporter measured what networks take; where it did not, the weights alone count. */
  isMeasured: boolean;
  /** Whether all networks are loaded at the same time. */
  fitsAtOnce: boolean;
  /** Networks that took more than there is where they were measured; with less they may do. */
  doubtful: NetworkName[];
  /** Requests of one denoiser call: those that were asked for, as far as they fit. */
  batch: number;
}

/** Free bytes of the GPU that CUDA takes first; null where NVIDIA's tool does not tell. */
export async function freeGpuBytes(): Promise<number | null> {
  const device = process.env['CUDA_VISIBLE_DEVICES']?.split(',')[0] || '0';
  const query = ['--query-gpu=memory.free', '--format=csv,noheader,nounits', '-i', device];
  try {
    const { stdout } = await run('nvidia-smi', query);
    const mebibytes = Number.parseInt(stdout, 10);
    return Number.isNaN(mebibytes) ? null : mebibytes * 2 ** 20;
  } catch {
    return null;
  }
}

/**
 * How a package's networks share a GPU. One that took more than there is gets all of it.
 *
 * @param freeBytes of the GPU
 * @param wanted requests of one denoiser call; more of them than were measured take as much more each
 * @throws FlexCacheError `gpu_missing` naming the networks of which the weights of one alone are too large.
 */
export function planGpuMemory(manifest: ModelManifest, freeBytes: number, wanted = 1): MemoryPlan {
  const bytes = Math.max(0, freeBytes - CUDA_BYTES);
  const needs: MemoryPlan['needs'] = {};
  const tooLarge: [NetworkName, number][] = [];
  const doubtful: NetworkName[] = [];
  let sum = 0;
  for (const [name, weights] of Object.entries(networkBytes(manifest)) as [NetworkName, number][]) {
    const need = manifest.gpuBytes?.[name] ?? weights;
    if (weights > bytes) tooLarge.push([name, weights]);
    else if (need > bytes) doubtful.push(name);
    needs[name] = Math.min(need, bytes);
    sum += need;
  }
  if (tooLarge.length > 0) throw doesNotFit(tooLarge, bytes);
  const isMeasured = manifest.gpuBytes !== undefined;
  const fitsAtOnce = sum <= bytes;
  const more = requestBytes(manifest);
  // What was not measured is for whoever asks to know.
  const fitting = more === null ? wanted : 1 + Math.floor(Math.max(0, bytes - sum) / more);
  const batch = Math.min(wanted, fitting);
  if (more !== null) needs.denoiser = Math.min(needs.denoiser! + (batch - 1) * more, bytes);
  return { bytes, needs, isMeasured, fitsAtOnce, doubtful, batch };
}

/** What each further request of a denoiser call takes: as much as the first beside the weights. Null where that was not measured. */
function requestBytes(manifest: ModelManifest): number | null {
  const measured = manifest.gpuBytes?.denoiser;
  if (measured === undefined) return null;
  const bytes = measured - (networkBytes(manifest).denoiser ?? 0);
  return bytes > 0 ? bytes : null;
}

/** The plan for the GPU of this machine; null where its memory is not known. */
export async function planThisGpu(
  manifest: ModelManifest,
  wanted?: number,
): Promise<MemoryPlan | null> {
  const free = await freeGpuBytes();
  return free === null ? null : planGpuMemory(manifest, free, wanted);
}

function doesNotFit(tooLarge: readonly [NetworkName, number][], bytes: number): FlexCacheError {
  const named = tooLarge
    .map(([name, need]) => `the weights of ${name} take ${inGib(need)}`)
    .join(', ');
  return new FlexCacheError(
    'gpu_missing',
    `the GPU has ${inGib(bytes)} for networks, and ${named}`,
    {
      field: 'executionProvider',
      fix: 'use a GPU with more memory, or end what else uses it',
    },
  );
}

/** The plan in one sentence, for people. */
export function describeMemory({
  bytes,
  needs,
  isMeasured,
  fitsAtOnce,
  doubtful,
}: MemoryPlan): string {
  const sum = Object.values(needs).reduce((all, need) => all + need, 0);
  const kind = isMeasured ? 'networks take' : 'networks take, not measured, at least';
  const turns = fitsAtOnce ? 'all stay loaded' : 'they take turns';
  const doubt =
    doubtful.length === 0 ? '' : `; ${doubtful.join(', ')} took more where the model was exported`;
  return `${kind} ${inGib(sum)} of ${inGib(bytes)}: ${turns}${doubt}`;
}

/** Bytes in GiB, for people. */
export function inGib(bytes: number): string {
  return `${(bytes / GIB).toFixed(1)} GiB`;
}
