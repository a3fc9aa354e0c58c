import { createReadStream } from 'node:fs';
import { performance } from 'node:perf_hooks';
import { embedTrace } from '#cli/simulate/embed-trace.ts';
import { openPackageVectors } from '#cli/simulate/prompt-vectors.ts';
import { DefaultCalibration } from '#core/planning/calibration.ts';
import { priceBookOf } from '#core/pricing/prices.ts';
import { createRandomSource } from '#core/random.ts';
import { simulate } from '#simulation/simulate.ts';
import {
  POLICY_NAMES,
  type PolicyName,
  type ReplayedRequest,
  type SimulationOptions,
} from '#simulation/types.ts';
import type { TraceRequest } from '#simulation/traces/trace-request.ts';
import { readTrace } from '#readers/read-trace.ts';

/**
 * Prints how many requests a minute the simulator replays on one core, at 10,000 entries: a trace of the
 * demo world, and a hard one whose every vector is new and near nothing. Seconds are of CPU time of
 * this process, so that other work on the machine counts little; the vectors are made beforehand.
 *
 * Run: node bench/simulate-speed.ts TRACE [REQUESTS]
 *
 * TRACE is what `flexcache trace generate --requests 50000 --seed 1 --out TRACE` writes; its vectors are
 * taken from TRACE.embeddings, and made in minutes when they are not there.
 */
const PACKAGE = 'containers/demo-model/package';
const ENTRIES = 10_000;
const HARD_DIMENSIONS = 128;
const HARD_SECONDS_APART = 60;
const BOOK = priceBookOf('us-east-1');

const [path, requestCount = '50000'] = process.argv.slice(2);
if (path === undefined) {
  console.error('usage: node bench/simulate-speed.ts TRACE [REQUESTS]');
  process.exit(2);
}
const traces = [
  ['demo world', await demoTrace(path, Number(requestCount))],
  ['all distinct', hardTrace(Number(requestCount))],
] as const;

console.log(`${ENTRIES} entries, Node ${process.version}`);
console.log('trace          policy   requests   CPU s   requests a minute');
for (const [name, trace] of traces) {
  for (const policy of POLICY_NAMES) {
    if (policy === 'none' || policy === 'all') continue;
    report(name, policy, trace.length, await secondsOf(trace, [policy]));
  }
  report(name, 'all six', trace.length, await secondsOf(trace, POLICY_NAMES.slice(0, 6)));
}

async function demoTrace(file: string, count: number): Promise<ReplayedRequest[]> {
  const requests: TraceRequest[] = [];
  for await (const { request } of readTrace(createReadStream(file))) {
    if (requests.push(request) === count) break;
  }
  const embedder = await openPackageVectors(PACKAGE);
  try {
    const embedded = await embedTrace(requests, embedder, {
      file: `${file}.embeddings`,
      onProgress: () => undefined,
      isInterrupted: () => false,
    });
    return embedded!;
  } finally {
    await embedder.close();
  }
}

/** No prompt, object or background comes twice, and none is near another. */
function hardTrace(count: number): ReplayedRequest[] {
  const random = createRandomSource(1, 'hard-trace');
  const unitVector = (): Float32Array => {
    const vector = new Float32Array(HARD_DIMENSIONS).map(() => random.nextUint32() / 2 ** 31 - 1);
    const length = Math.hypot(...vector);
    return vector.map((element) => element / length);
  };
  return Array.from({ length: count }, (_, index) => ({
    time: 1_767_225_600 + index * HARD_SECONDS_APART,
    tenant: 'default',
    prompt: `prompt ${index}`,
    seed: index,
    vectors: { whole: unitVector(), object: unitVector(), background: unitVector() },
  }));
}

async function secondsOf(
  trace: readonly ReplayedRequest[],
  policies: readonly PolicyName[],
): Promise<{ cpu: number; wall: number }> {
  const options: SimulationOptions = {
    caches: policies.map((policy) => ({
      policy,
      capacity: { entries: ENTRIES, latentBytes: null },
      fastTier: null,
    })),
    book: BOOK,
    calibration: new DefaultCalibration({ whole: 0.8986, object: 0.8805, background: 0.8025 }),
    scope: 'tenant',
    steps: 10,
    secondsPerEvaluation: 2,
    dollarsPerGpuSecond: 0.8 / 3600,
    latentBytes: 1_048_320,
    storageClass: 'INTELLIGENT_TIERING',
    fetch: { seconds: 0.1, bytesPerSecond: 80e6 },
  };
  const before = process.cpuUsage();
  const from = performance.now();
  await simulate(trace, options);
  const { user, system } = process.cpuUsage(before);
  return { cpu: (user + system) / 1e6, wall: (performance.now() - from) / 1000 };
}

function report(
  name: string,
  policy: string,
  requests: number,
  { cpu, wall }: { cpu: number; wall: number },
): void {
  console.log(
    `${name.padEnd(14)} ${policy.padEnd(8)} ${String(requests).padStart(8)} ${cpu.toFixed(1).padStart(7)} ${Math.round(
      (60 * requests) / cpu,
    )
      .toString()
      .padStart(19)}   (${wall.toFixed(1)} s on the clock)`,
  );
}
