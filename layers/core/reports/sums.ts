import type { JobStatus } from '../generation.ts';
import type { VideoLine } from './video-line.ts';

/** Amounts of a group of videos. Money is in pico-dollars. */
export interface Sums {
  /** Asked for, whatever became of them. */
  videos: number;
  statuses: Readonly<Record<JobStatus, number>>;
  /** Seconds of machines, useful and wasted. */
  gpu: bigint;
  /** Everything else that was billed by its use: functions, table, objects, vectors, queues. */
  requests: bigint;
  /** `gpu + requests`: what tenants are charged. */
  total: bigint;
  /** The part of `total` that came to nothing: retries, failures, machines that were taken away. */
  wasted: bigint;
  /** Machines that waited for these videos without work; not in `total`. */
  idle: bigint;
  /** Machines that started for these videos; not in `total`. */
  coldStart: bigint;
  /** `total + idle + coldStart`. */
  loaded: bigint;
  /** What the same videos would have cost without reuse. */
  full: bigint;
  /** `full - total`. */
  saved: bigint;
  gpuMilliseconds: number;
  stepsRun: number;
  stepsFull: number;
  /** Whose services did not say what they charge: `requests` is short of them. */
  unmeasuredRequests: number;
  /** `total` by service: `ec2`, `lambda`, ... */
  services: ReadonlyMap<string, bigint>;
}

/** Sums that grow. */
export class SumsOf implements Sums {
  videos = 0;
  readonly statuses: Record<JobStatus, number> = {
    queued: 0,
    running: 0,
    completed: 0,
    failed: 0,
    cancelled: 0,
  };
  gpu = 0n;
  requests = 0n;
  total = 0n;
  wasted = 0n;
  idle = 0n;
  coldStart = 0n;
  loaded = 0n;
  full = 0n;
  saved = 0n;
  gpuMilliseconds = 0;
  stepsRun = 0;
  stepsFull = 0;
  unmeasuredRequests = 0;
  readonly services = new Map<string, bigint>();

  add(line: VideoLine): this {
    this.videos += 1;
    this.statuses[line.status] += 1;
    this.gpu += line.gpu;
    this.requests += line.requests;
    this.total += line.total;
    this.wasted += line.wasted;
    this.idle += line.idle;
    this.coldStart += line.coldStart;
    this.loaded += line.loaded;
    this.full += line.full;
    this.saved += line.saved;
    this.gpuMilliseconds += line.gpuMilliseconds;
    this.stepsRun += line.stepsRun;
    this.stepsFull += line.stepsFull;
    this.unmeasuredRequests += line.unmeasuredRequests;
    for (const [service, amount] of line.services) {
      this.services.set(service, (this.services.get(service) ?? 0n) + amount);
    }
    return this;
  }
}
