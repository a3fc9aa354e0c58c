import { DefaultCalibration, startPoint } from '#core/planning/calibration.ts';
import { backgroundPart, objectPart } from '#core/latents/compose.ts';
import { standardNormalNoise } from '#core/latents/noise.ts';
import type {
  CacheMode,
  Donor,
  GenerationRequest,
  GenerationResult,
  Job,
  LookupPart,
  Plan,
  Pool,
  UsageRecord,
} from '#core/generation.ts';
import { ObjectMissingError } from '#core/errors.ts';
import type { ShownAttributes } from '#core/planning/shown-attributes.ts';
import type { Tensor } from '#core/latents/tensor.ts';
import type { ModelManifest } from '#models/manifest.ts';
import type {
  FlowTime,
  RegionDenoiser,
  TextCondition,
  TokenContext,
  VelocityRequest,
  VideoModel,
} from '#models/model.ts';
import { nothingThere, ObjectExistsError, refuseLongObject } from '#ports/errors.ts';
import type { DenoiseWork } from '#denoiser/denoise-clock.ts';
import type { DroppedDonor } from '#denoiser/donors.ts';
import type {
  CheckpointEvent,
  GenerationControl,
  StopReason,
} from '#denoiser/generation-control.ts';
import type { GetObjectOptions, ObjectRange } from '#ports/objects.ts';
import { createWorker, type Worker } from '#denoiser/worker.ts';
import type { GenerateMessage, ReceivedMessage, WorkQueue } from '#ports/queue.ts';
import { meterUse } from '#ports/usage-meter.ts';
import type { TaskCallbacks } from '#ports/workflow.ts';

export const SHAPE = [2, 3, 4, 4] as const;
export const COMPATIBILITY_KEY = 'c'.repeat(64);

export const THRESHOLDS = { whole: 0.8, object: 0.8, background: 0.8 };

/** The little of a manifest that generating needs, for latents of `SHAPE`. */
export const MANIFEST = {
  name: 'fake-world',
  version: '1.0.0',
  license: 'Apache-2.0',
  video: { frames: 4, height: 16, width: 16, framesPerSecond: 8 },
  latent: { channels: 2, frames: 3, height: 4, width: 4 },
  text: { maxTokens: 8, hidden: 4, addsSpecialTokens: false, negativePrompt: '' },
  scheduler: { type: 'rectified-flow', steps: 12, referenceSteps: 50, guidance: 3 },
  embedding: { dimensions: 8 },
  lookup: { thresholds: THRESHOLDS },
  files: { segmenter: [], textTower: [], videoTower: [] } as object,
} as ModelManifest;

/** The clean latent that the fake model makes of a prompt. */
export function targetOf(prompt: string): Tensor {
  return standardNormalNoise(SHAPE, prompt.length, prompt);
}

/**
 * A rectified flow whose velocity is known: from x_t, the straight line to the prompt's target has
 * velocity (x_t - target) / t, so Euler steps end in the target exactly; where t is 0 nothing moves. Masks a 2x2 corner.
 */
export class FakeVideoModel implements VideoModel {
  readonly times: FlowTime[] = [];
  readonly guidances: number[] = [];
  regions: RegionDenoiser | null = null;
  hasObject = true;
  /** What its guidance is to lead away from. */
  negativePrompt = '';
  /** Runs before each velocity. */
  beforeStep: () => void | Promise<void> = () => {};

  async encodeText(asked: string | null): Promise<TextCondition> {
    const prompt = asked ?? '';
    return { states: targetOf(prompt), mask: BigInt64Array.of(prompt === '' ? 0n : 1n) };
  }

  async velocity(
    latent: Tensor,
    time: FlowTime,
    condition: TextCondition,
    unconditional: TextCondition,
    guidance: number,
  ): Promise<Tensor> {
    await this.beforeStep();
    const negative = this.negativePrompt;
    if (unconditional.mask[0] !== (negative === '' ? 0n : 1n)) {
      throw new Error('not the negative prompt');
    }
    this.times.push(time);
    this.guidances.push(guidance);
    const target = condition.states.data;
    return {
      data: latent.data.map((x, index) => {
        const at = timeAt(time, index);
        return at === 0 ? 0 : (x - target[index]!) / at;
      }),
      shape: latent.shape,
    };
  }

  velocities(
    requests: readonly VelocityRequest[],
    unconditional: TextCondition,
    guidance: number,
  ): Promise<Tensor[]> {
    return Promise.all(
      requests.map(({ latent, time, condition }) =>
        this.velocity(latent, time, condition, unconditional, guidance),
      ),
    );
  }

  async decode(latent: Tensor): Promise<Tensor> {
    const shape = [4, 3, 16, 16];
    const data = Float32Array.from({ length: 4 * 3 * 256 }, (_, index) =>
      Math.abs(latent.data[index % latent.data.length]! % 1),
    );
    return { data, shape };
  }

  /** Each channel of the frame has the first pixels of the image, and 10 more. */
  async encodeImage({ data }: Tensor): Promise<Tensor> {
    const [channels, , height, width] = SHAPE;
    const length = height * width;
    const frame = Array.from(data.subarray(0, length), (value) => 10 + value);
    return {
      data: Float32Array.from({ length: channels * length }, (_, index) => frame[index % length]!),
      shape: [channels, 1, height, width],
    };
  }

  async encode(): Promise<Tensor> {
    throw new Error('generating never encodes a video');
  }

  async segment(): Promise<Tensor> {
    const data = new Float32Array(3 * 4 * 4);
    if (this.hasObject) for (const frame of [0, 1, 2]) data[frame * 16] = 1;
    return { data, shape: [3, 4, 4] };
  }

  async embedParts(
    latent: Tensor,
    mask: Tensor | null,
    parts: readonly LookupPart[],
  ): Promise<Float32Array[]> {
    return parts.map((part) => {
      if (part === 'whole') return vectorOf(latent);
      const shown = part === 'object' ? objectPart(latent, mask!) : backgroundPart(latent, mask!);
      return vectorOf(shown);
    });
  }

  async recognise(): Promise<ShownAttributes> {
    return {};
  }

  async close(): Promise<void> {}
}

/** What the fake model makes of a latent, a unit vector. */
export function vectorOf({ data }: Tensor): Float32Array {
  const vector = data.slice(0, 8);
  const length = Math.hypot(...vector);
  return vector.map((value) => value / length);
}

/** A flow whose velocity changes on the way: no two solvers end in the same latent. */
export class CurvedVideoModel extends FakeVideoModel {
  override async velocity(...given: Parameters<FakeVideoModel['velocity']>): Promise<Tensor> {
    const { data, shape } = await super.velocity(...given);
    const [latent, time] = given;
    return {
      data: data.map(
        (value, index) => value + Math.sin(5 * timeAt(time, index) + latent.data[index]!),
      ),
      shape,
    };
  }
}

/**
 * Tokens of 1x2x2 positions. What a live token gets depends on the context's latent a little, as keys and
 * values would make it; contexts that were not released are counted.
 */
export class FakeRegions implements RegionDenoiser {
  readonly patch = { frames: 1, height: 2, width: 2 };
  readonly isTrained: boolean;
  readonly model: FakeVideoModel;
  /** Tokens of each context that a live evaluation read, and its live tokens. */
  readonly evaluations: { live: readonly number[]; context: readonly number[] }[] = [];
  open = 0;
  made = 0;

  constructor(model: FakeVideoModel, isTrained = false) {
    this.model = model;
    this.isTrained = isTrained;
  }

  async velocityAndContext(
    { latent, time, condition }: VelocityRequest,
    unconditional: TextCondition,
    guidance: number,
  ) {
    const velocity = await this.model.velocity(latent, time, condition, unconditional, guidance);
    return {
      velocity,
      context: this.#context(
        latent,
        Array.from({ length: 12 }, (_, token) => token),
      ),
    };
  }

  async cleanContext(clean: Tensor, tokens: readonly number[]) {
    return this.#context(clean, tokens);
  }

  #context(latent: Tensor, of: readonly number[]): TokenContext {
    let context = of;
    this.open++;
    this.made++;
    return {
      restrict: async (tokens) => {
        context = tokens;
      },
      velocity: async (request, live, unconditional, guidance) => {
        this.evaluations.push({ live, context });
        const { condition, time } = request;
        const velocity = await this.model.velocity(
          request.latent,
          time,
          condition,
          unconditional,
          guidance,
        );
        const read = latent.data.reduce(
          (sum, value, index) => (context.includes(tokenOf(index)) ? sum + value : sum),
          0,
        );
        return {
          shape: SHAPE,
          data: velocity.data.map((value, index) =>
            live.includes(tokenOf(index)) ? value + this.influence * read : 0,
          ),
        };
      },
      release: async () => void this.open--,
    };
  }

  /** Of the context on a velocity. */
  influence = 0;
}

/** The time at a place in a latent of `SHAPE`. */
function timeAt(time: FlowTime, index: number): number {
  return typeof time === 'number' ? time : time[Math.floor((index % 48) / 16)]!;
}

/** Token of a place in a latent of `SHAPE`. */
function tokenOf(index: number): number {
  const [position, x] = [index % 48, index % 4];
  const [frame, y] = [Math.floor(position / 16), Math.floor(position / 4) % 4];
  return frame * 4 + Math.floor(y / 2) * 2 + Math.floor(x / 2);
}

export class MemoryObjects {
  readonly bodies = new Map<string, Uint8Array>();
  readonly contentTypes = new Map<string, string | undefined>();
  /** Thrown once by the next get. */
  nextGetError: Error | null = null;

  async put(
    key: string,
    body: Uint8Array,
    options: { contentType?: string; ifNoneMatch?: boolean } = {},
  ) {
    meterUse({ objectPuts: 1 });
    if (options.ifNoneMatch === true && this.bodies.has(key)) throw new ObjectExistsError(key);
    meterUse({ objectBytesWritten: body.byteLength });
    this.bodies.set(key, Uint8Array.from(body));
    this.contentTypes.set(key, options.contentType);
    return { key, bytes: body.byteLength, sha256: '', modifiedAt: 0 };
  }

  async get(key: string, { atMostBytes }: GetObjectOptions = {}): Promise<Uint8Array> {
    const body = this.#open(key);
    refuseLongObject(key, body.byteLength, atMostBytes);
    meterUse({ objectBytesRead: body.byteLength });
    return body;
  }

  #open(key: string): Uint8Array {
    meterUse({ objectGets: 1 });
    const error = this.nextGetError;
    this.nextGetError = null;
    if (error !== null) throw error;
    const body = this.bodies.get(key);
    if (body === undefined) throw new ObjectMissingError(key);
    return body;
  }

  async getRange(key: string, start: number, bytes: number): Promise<ObjectRange> {
    const body = this.#open(key);
    if (start >= body.byteLength) throw nothingThere(key, start);
    const range = body.slice(start, start + bytes);
    meterUse({ objectBytesRead: range.byteLength });
    return { body: range, objectBytes: body.byteLength };
  }

  async delete(key: string): Promise<void> {
    this.bodies.delete(key);
  }
}

export class MemoryJobs {
  job: Partial<Job> | null = {
    status: 'running',
    cancelRequested: false,
    attempt: 1,
    progress: 0,
  };
  readonly progress: number[] = [];
  /** What was entered with each progress, oldest first. */
  readonly soFar: UsageRecord[] = [];
  readonly usage: UsageRecord[] = [];
  readonly leftQueue: string[] = [];

  async getJob(): Promise<Job | null> {
    meterUse({ tableReadUnits: 1 });
    return this.job as Job | null;
  }

  async setJobProgress(_: string, percent: number, usage?: UsageRecord): Promise<void> {
    meterUse({ tableWriteUnits: 1 });
    this.progress.push(percent);
    if (usage !== undefined) this.soFar.push(usage);
  }

  async recordUsage(_: string, usage: UsageRecord): Promise<void> {
    meterUse({ tableWriteUnits: 1 });
    this.usage.push(usage);
  }

  async leaveQueue(_: Pool, videoId: string): Promise<void> {
    meterUse({ tableWriteUnits: 1 });
    this.leftQueue.push(videoId);
  }
}

/** Hands out each message once; what is done with it is written down. */
export class ScriptedQueue implements WorkQueue {
  readonly waiting: ReceivedMessage[] = [];
  readonly extended: number[] = [];
  readonly deleted: string[] = [];
  readonly sent: GenerateMessage[] = [];
  extendError: Error | null = null;

  deliver(message: GenerateMessage, deliveries = 1): void {
    this.waiting.push({ message, receipt: `receipt-${this.waiting.length}`, deliveries });
  }

  /** Behind those that wait. */
  async send(message: GenerateMessage): Promise<void> {
    this.sent.push(message);
    this.deliver(message);
  }

  async receive(_waitSeconds?: number): Promise<ReceivedMessage | null> {
    meterUse({ queueRequests: 1 });
    return this.waiting.shift() ?? null;
  }

  async extend(_: string, visibilitySeconds: number): Promise<void> {
    meterUse({ queueRequests: 1 });
    this.extended.push(visibilitySeconds);
    if (this.extendError !== null) throw this.extendError;
  }

  async delete(receipt: string): Promise<void> {
    this.deleted.push(receipt);
  }
}

export class RecordingCallbacks implements TaskCallbacks {
  readonly successes: GenerationResult[] = [];
  readonly failures: { token: string; error: string; cause: string }[] = [];
  heartbeats = 0;
  heartbeatError: Error | null = null;
  successError: Error | null = null;

  async sendTaskSuccess(_: string, output: GenerationResult): Promise<void> {
    if (this.successError !== null) throw this.successError;
    this.successes.push(output);
  }

  async sendTaskFailure(token: string, error: string, cause: string): Promise<void> {
    this.failures.push({ token, error, cause });
  }

  async sendTaskHeartbeat(): Promise<void> {
    this.heartbeats++;
    if (this.heartbeatError !== null) throw this.heartbeatError;
  }
}

/** A control that lets a generation run; what happens to it is kept. */
export class RecordingControl implements GenerationControl {
  readonly run: string;
  readonly percents: number[] = [];
  readonly works: DenoiseWork[] = [];
  readonly dropped: DroppedDonor[] = [];
  readonly checkpoints: CheckpointEvent[] = [];
  stopReason: StopReason | null = null;
  /** Asked before each step and write; sets the reason. */
  stopWhen: () => StopReason | null = () => null;

  constructor(run = 'run-1') {
    this.run = run;
  }

  shouldStop(): boolean {
    this.stopReason ??= this.stopWhen();
    return this.stopReason !== null;
  }

  onProgress(percent: number, work: DenoiseWork): void {
    this.works.push(work);
    this.percents.push(percent);
  }

  onDonorDropped(dropped: DroppedDonor): void {
    this.dropped.push(dropped);
  }

  onCheckpoint(event: CheckpointEvent): void {
    this.checkpoints.push(event);
  }
}

export const VIDEO_ID = 'vid_00000000000000000000000000';

export function requestFor(prompt: string, cache: CacheMode = 'auto'): GenerationRequest {
  return {
    videoId: VIDEO_ID,
    prompt,
    seed: 7,
    cache,
    steps: 12,
    tenant: 'acme',
    scope: 'tenant',
    minSimilarity: 0,
    maxReuse: 1,
    remixOf: null,
    pool: 'interactive',
  };
}

export function planFor(hit: Plan['hit'], donors: Donor[] = [], plan: Partial<Plan> = {}): Plan {
  const isMiss = hit === 'miss';
  return {
    hit,
    donors,
    ...startPoint(isMiss ? 1 : 0.6, plan.steps ?? (isMiss ? 12 : 5)),
    fullSteps: 12,
    seed: 7,
    exactVideoId: null,
    ...plan,
  };
}

export function donorFor(part: Donor['part'], latentKey: string, similarity = 0.9): Donor {
  return { entryId: `entry-of-${latentKey}`, part, similarity, latentKey };
}

type WorkerParts = Parameters<typeof createWorker>[0];

/** A worker of the fakes, which ends when its queue is empty. */
export function drainingWorker({
  settings,
  ...parts
}: Pick<WorkerParts, 'model' | 'objects' | 'table' | 'queue' | 'callbacks' | 'settings'> &
  Partial<WorkerParts>): Worker {
  return createWorker({
    manifest: MANIFEST,
    calibration: new DefaultCalibration(THRESHOLDS),
    compatibilityKey: COMPATIBILITY_KEY,
    machine: { instanceType: 'g6.xlarge', purchaseOption: 'spot' },
    settings: { stopWhenEmpty: true, idleSeconds: 0, progressMilliseconds: 0, ...settings },
    ...parts,
  });
}
