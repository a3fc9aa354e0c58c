import { AMOUNT_NAMES, type Amounts } from '../costs/amounts.ts';
import type { JobStatus } from '../generation.ts';
import type { VideoLine } from './video-line.ts';

/** Amounts and counts of a group of videos. */
export interface Sums extends Amounts {
  /** Requested, regardless of the outcome. */
  videos: number;
  statuses: Readonly<Record<JobStatus, number>>;
  gpuMilliseconds: number;
  stepsRun: number;
  stepsFull: number;
  /** Requests without usage from their service, which `requests` lacks. */
  unmeasuredRequests: number;
  /** `total` by service: `ec2`, `lambda`, ... */
  services: ReadonlyMap<string, bigint>;
}

/** Mutable sums. */
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
    for (const name of AMOUNT_NAMES) this[name] += line[name];
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
