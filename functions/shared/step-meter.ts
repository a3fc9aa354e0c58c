import type { UsageRecord, UsageStep } from '#core/generation.ts';
import type { Table } from '#ports/table.ts';
import { UsageMeter } from '#ports/usage-meter.ts';
import { currentInvocation, type Invocation } from './invocation.ts';
import type { Telemetry } from './telemetry.ts';

export interface MeteringServices {
  table: Pick<Table, 'recordUsage'>;
  /** Told of records that could not be written; nobody unless given. */
  telemetry?: Pick<Telemetry, 'log'>;
}

/** Steps of the workflow that a function does. */
type FunctionStep = Exclude<UsageStep, 'generate'>;

/**
 * States that are entered with a step and with nothing else: Step Functions charges each, retries too.
 * Lookup's is followed by the choice, Fail's by the end that says so, Submit's by a choice and by the
 * start of the execution that it named.
 */
const TRANSITIONS: Readonly<Record<FunctionStep, number>> = {
  submit: 3,
  embed: 1,
  lookup: 2,
  dispatch: 1,
  commit: 1,
  fail: 2,
};

/** Measures one run of one step of the workflow, and enters it into the ledger of its video. */
export class StepMeter {
  readonly startedAt = Date.now();
  /** Of the job; a run is entered only once it is known. */
  attempt: number | null = null;
  readonly #step: FunctionStep;
  readonly #services: MeteringServices;
  readonly #videoId: string;
  readonly #invocation: Invocation = currentInvocation();
  readonly #start = performance.now();
  readonly #meter = new UsageMeter();
  #isClosed = false;

  private constructor(step: FunctionStep, services: MeteringServices, videoId: string) {
    this.#step = step;
    this.#services = services;
    this.#videoId = videoId;
  }

  /**
   * Runs the work of a step with a meter for it. Work that throws is entered before its error goes on:
   * what it has used was used.
   */
  static async run<Output>(
    step: FunctionStep,
    services: MeteringServices,
    videoId: string,
    work: (meter: StepMeter) => Promise<Output>,
  ): Promise<Output> {
    const meter = new StepMeter(step, services, videoId);
    return meter.#meter.run(async () => {
      try {
        return await work(meter);
      } catch (error) {
        // The state that failed is the last that was entered.
        if (!meter.#isClosed) await meter.enter({ stateTransitions: 1 });
        throw error;
      }
    });
  }

  get seconds(): number {
    return Math.round(performance.now() - this.#start) / 1000;
  }

  /** What the run has used up to now. */
  usage(amounts: Partial<UsageRecord> = {}): UsageRecord {
    const memory = Number(process.env['AWS_LAMBDA_FUNCTION_MEMORY_SIZE'] ?? 0);
    return {
      step: this.#step,
      run: this.#invocation.run,
      startedAt: this.startedAt,
      ...((this.attempt ?? 1) > 1 && { attempt: this.attempt! }),
      lambdaMilliseconds: Math.ceil(performance.now() - this.#invocation.billedFrom),
      ...(memory > 0 && {
        lambdaMegabytes: memory,
        lambdaArchitecture: process.arch === 'arm64' ? ('arm64' as const) : ('x86_64' as const),
      }),
      ...this.#meter.usage,
      stateTransitions: TRANSITIONS[this.#step],
      ...amounts,
    };
  }

  /** Writes down what the run has used. A record that cannot be written is not worth a video: it is logged. */
  async enter(amounts: Partial<UsageRecord> = {}): Promise<void> {
    if (this.attempt === null) return;
    try {
      await this.#services.table.recordUsage(this.#videoId, this.usage(amounts));
    } catch (error) {
      this.#services.telemetry?.log({
        level: 'warn',
        event: 'usage_not_recorded',
        videoId: this.#videoId,
        step: this.#step,
        error,
      });
    }
  }

  /** Nothing is entered any more: the ledger was closed with what the run had used. */
  close(): void {
    this.#isClosed = true;
  }
}

/** The record as it stands in the ledger of a job that was tried more than once. */
export function ofAttempt(record: UsageRecord, attempt: number): UsageRecord {
  return attempt === 1 ? record : { ...record, attempt };
}
