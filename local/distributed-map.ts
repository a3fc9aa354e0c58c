import { randomUUID } from 'node:crypto';
import type { ObjectStore } from '#ports/objects.ts';
import type { ExecutionOutcome, MachineExecution } from './embedded-machine.ts';
import { stopped } from './embedded-machine.ts';
import { TaskFailure } from './engine-task-failure.ts';
import { writeMapResults, type ChildRecord } from './map-results.ts';
import { resolveTemplate } from './payload-template.ts';

/** A Map state in distributed mode that reads JSON lines from the store and writes its results there. */
export interface DistributedMapState {
  Label?: string;
  ItemReader: { ReaderConfig: { InputType: string }; Parameters: object };
  ItemSelector?: object;
  MaxConcurrency?: number;
  MaxConcurrencyPath?: string;
  ToleratedFailurePercentage?: number;
  ToleratedFailurePercentagePath?: string;
  ResultWriter: { Parameters: object };
}

export interface MapRun {
  state: DistributedMapState;
  /** The state's data. */
  input: unknown;
  /** Of the execution that the map is in. */
  executionName: string;
  /** Aborted when that execution is stopped: what is under way is stopped too. */
  signal: AbortSignal;
  /** Aborted when no further item is to begin; what is under way ends by itself. */
  draining: AbortSignal;
  objects: Pick<ObjectStore, 'get' | 'put'>;
  startChild(name: string, input: unknown): MachineExecution;
  /** Called as each child ends, before another begins. */
  onChild?: (input: unknown, outcome: ExecutionOutcome) => void;
}

/** What the state returns. */
export interface MapOutput {
  MapRunArn: string;
  ResultWriterDetails: { Bucket: string; Key: string };
}

const TOO_MANY_FAILED = 'States.ExceedToleratedFailureThreshold';

/**
 * Runs a distributed map as Step Functions does: a child execution for each item, and results that
 * are written however it ends. Only when its process ends are there none: the next one runs it anew.
 *
 * @throws TaskFailure `States.ExceedToleratedFailureThreshold` when more items fail than tolerated.
 */
export async function runDistributedMap(run: MapRun): Promise<MapOutput> {
  return new DistributedMap(run, await readSettings(run)).run();
}

interface MapSettings {
  items: unknown[];
  concurrency: number;
  /** 0..100 */
  tolerated: number;
  bucket: string;
  prefix: string;
}

class DistributedMap {
  readonly #run: MapRun;
  readonly #settings: MapSettings;
  readonly #runId = randomUUID();
  readonly #children: ChildRecord[] = [];
  readonly #running = new Map<MachineExecution, Promise<void>>();
  #failed = 0;

  constructor(run: MapRun, settings: MapSettings) {
    this.#run = run;
    this.#settings = settings;
  }

  async run(): Promise<MapOutput> {
    const { items, concurrency } = this.#settings;
    const stop = (): void => void this.#stopChildren();
    this.#run.signal.addEventListener('abort', stop);
    try {
      for (const [index, item] of items.entries()) {
        if (this.#isOver) break;
        await this.#begin(index, item);
        if (this.#running.size >= concurrency) await Promise.race(this.#running.values());
      }
      if (this.#hasTooManyFailed) this.#stopChildren();
      await Promise.all(this.#running.values());
    } finally {
      this.#run.signal.removeEventListener('abort', stop);
    }
    if (this.#run.signal.aborted) throw stopped();
    const output = await this.#write();
    if (this.#isCutShort) throw stopped();
    if (this.#hasTooManyFailed) {
      throw new TaskFailure(
        TOO_MANY_FAILED,
        'The specified tolerated failure threshold was exceeded',
      );
    }
    return output;
  }

  /** Nothing further begins. */
  get #isOver(): boolean {
    const { signal, draining } = this.#run;
    return signal.aborted || draining.aborted || this.#hasTooManyFailed;
  }

  get #isCutShort(): boolean {
    return this.#run.draining.aborted && this.#children.length < this.#settings.items.length;
  }

  get #hasTooManyFailed(): boolean {
    const { items, tolerated } = this.#settings;
    return (this.#failed / items.length) * 100 > tolerated;
  }

  async #begin(index: number, item: unknown): Promise<void> {
    const { state, input, startChild, onChild } = this.#run;
    const context = { Map: { Item: { Index: index, Value: item } } };
    const selected = state.ItemSelector
      ? await resolveTemplate(state.ItemSelector, input, context)
      : item;
    const name = randomUUID();
    const startedAt = new Date();
    const child = startChild(name, selected);
    const ended = child.outcome.then((outcome) => {
      this.#running.delete(child);
      this.#children.push({ name, input: selected, outcome, startedAt, stoppedAt: new Date() });
      if (outcome.status === 'FAILED' || outcome.status === 'TIMED_OUT') this.#failed += 1;
      onChild?.(selected, outcome);
    });
    this.#running.set(child, ended);
  }

  #stopChildren(): void {
    for (const child of this.#running.keys()) void child.stop();
  }

  async #write(): Promise<MapOutput> {
    const { state, executionName, objects } = this.#run;
    const { bucket, prefix } = this.#settings;
    const machine = `${executionName}/${state.Label ?? 'Map'}`;
    const mapRunArn = `arn:aws:states:local:000000000000:mapRun:${machine}:${this.#runId}`;
    const key = await writeMapResults(objects, {
      bucket,
      prefix: `${prefix}/${this.#runId}`,
      machine,
      mapRunArn,
      children: this.#children,
    });
    return { MapRunArn: mapRunArn, ResultWriterDetails: { Bucket: bucket, Key: key } };
  }
}

async function readSettings({ state, input, objects }: MapRun): Promise<MapSettings> {
  const { InputType: inputType } = state.ItemReader.ReaderConfig;
  if (inputType !== 'JSONL') {
    throw new TaskFailure('States.Runtime', `no items are read of type ${inputType}`, {
      isCatchable: false,
    });
  }
  const reader = await resolveTemplate(state.ItemReader.Parameters, input);
  const writer = await resolveTemplate(state.ResultWriter.Parameters, input);
  const [concurrency, tolerated] = await Promise.all([
    numberOf(state.MaxConcurrencyPath, state.MaxConcurrency, input),
    numberOf(state.ToleratedFailurePercentagePath, state.ToleratedFailurePercentage, input),
  ]);
  let text: string;
  try {
    text = Buffer.from(await objects.get(String(reader['Key']))).toString('utf8');
  } catch (error) {
    throw new TaskFailure('States.ItemReaderFailed', String(error));
  }
  const lines = text.split('\n').filter((line) => line !== '');
  return {
    items: lines.map((line) => JSON.parse(line) as unknown),
    // Zero is no limit, as in Step Functions.
    concurrency: concurrency || Infinity,
    tolerated,
    bucket: String(writer['Bucket']),
    prefix: String(writer['Prefix']),
  };
}

async function numberOf(
  path: string | undefined,
  value: number | undefined,
  input: unknown,
): Promise<number> {
  if (path === undefined) return value ?? 0;
  const { number } = await resolveTemplate({ 'number.$': path }, input);
  if (typeof number === 'number') return number;
  throw new TaskFailure('States.Runtime', `${path} is ${JSON.stringify(number)}, not a number`, {
    isCatchable: false,
  });
}
