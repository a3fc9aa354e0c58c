import { LAYERS } from '#codec/layers.ts';
import { DefaultCalibration, startPoint } from '#core/planning/calibration.ts';
import { FlexCacheError, ObjectMissingError } from '#core/errors.ts';
import type { Donor, GenerationRequest, GenerationResult, Plan } from '#core/generation.ts';
import { executionName } from '#core/requests/identity.ts';
import { TASK_TIMEOUTS } from '#core/requests/task-timeouts.ts';
import { loadDonors } from '#denoiser/donors.ts';
import { putNew } from '#denoiser/put-new.ts';
import { createCommitHandler } from '#functions/commit/handler.ts';
import type { EndJobServices } from '#functions/shared/end-job.ts';
import { createFailHandler } from '#functions/fail/handler.ts';
import { createLookupHandler } from '#functions/lookup/handler.ts';
import type { CommitInput, LookupInput, LookupOutput } from '#functions/shared/states.ts';
import { sha256Of } from '#ports/object-key.ts';
import type { Actor } from './scenario.ts';
import {
  answerOf,
  COMPATIBILITY_KEY,
  EXPECTED_LATENT,
  madeFor,
  VECTORS,
  type Made,
} from './videos.ts';
import { Violation } from './watch.ts';
import type { Stores, World } from './world.ts';

/** How long after its worker's answer a commit is tried at most: far longer than a workflow does. */
const LATEST_COMMIT_MILLISECONDS = 12 * 3_600_000;

const CALIBRATION = new DefaultCalibration({ whole: 0.8, object: 0.8, background: 0.8 });

/** What follows the end of a job, without what has no part in retention. */
function jobEnd(table: Stores['table']): EndJobServices {
  return {
    table,
    tenants: {
      freePlace: async () => {},
      settle: async () => {},
    } as unknown as EndJobServices['tenants'],
    backfills: {} as EndJobServices['backfills'],
    notifications: {} as EndJobServices['notifications'],
    costOf: () => 0n,
  };
}

export function leaseMilliseconds({ pool }: GenerationRequest): number {
  return TASK_TIMEOUTS[pool].totalSeconds * 1000;
}

/** One attempt at a video: what its states hand on to each other. */
export class Execution {
  readonly request: GenerationRequest;
  readonly #world: World;
  readonly #vector: readonly number[];
  readonly #attempt: number;
  lookup: LookupOutput | null = null;
  /** True time at which the leases end. */
  leasedUntil = -Infinity;
  generation: GenerationResult | null = null;
  #answeredAt = Infinity;
  #suffix = 0;
  /** A latent is lost from outside. */
  mayLackDonors = false;
  /** Nothing more is begun for it. */
  isStopped = false;

  constructor(
    world: World,
    request: GenerationRequest,
    { vector = VECTORS.far, attempt = 1 }: { vector?: readonly number[]; attempt?: number } = {},
  ) {
    this.#world = world;
    this.request = request;
    this.#vector = vector;
    this.#attempt = attempt;
  }

  /** The states, each retried once when it is killed. */
  actors(name: string, skew = 0): Actor[] {
    return [
      this.lookupState(name, skew),
      this.worker(`${name} worker`, skew),
      this.commit(name, skew),
    ];
  }

  /** As it is when this donor is leased for it; none for a video of its own. */
  afterLookup(donorId: string | null, leasedUntil = this.#world.now): this {
    const { seed, steps } = this.request;
    const miss = { seed, fullSteps: steps, exactVideoId: null };
    const plan: Plan =
      donorId === null
        ? { ...miss, hit: 'miss', donors: [], ...startPoint(1, steps) }
        : { ...miss, hit: 'whole', donors: [donorOf(donorId)], ...startPoint(0.3, 3) };
    this.lookup = { plan, seconds: 0.1, usage: { step: 'lookup' } };
    this.leasedUntil = leasedUntil;
    return this;
  }

  /** As it is when its worker has answered, too. */
  afterWorker(donorId: string | null): this {
    this.afterLookup(donorId);
    this.#answer(madeFor(this.request.videoId));
    return this;
  }

  lookupState(name: string, skew = 0): Actor {
    return {
      name: `${name} lookup`,
      skew,
      restarts: 1,
      isReady: () => !this.isStopped,
      run: async ({ table, vectors, objects }) => {
        const look = createLookupHandler({
          table,
          vectors,
          objects,
          calibration: CALIBRATION,
          compatibilityKey: COMPATIBILITY_KEY,
        });
        const begunAt = this.#world.now;
        this.lookup = await look(this.#input);
        this.leasedUntil = begunAt + leaseMilliseconds(this.request);
      },
    };
  }

  /** @param making which bytes it makes; `answersEarly` breaks the order of the writes */
  worker(name: string, skew = 0, { making = 1, answersEarly = false } = {}): Actor {
    return {
      name,
      skew,
      restarts: 1,
      isReady: () =>
        !this.isStopped &&
        this.lookup !== null &&
        this.lookup.plan.hit !== 'exact' &&
        this.generation === null,
      lastsUntil: () => this.leasedUntil,
      run: async ({ objects }) => {
        const { plan } = this.lookup!;
        await this.#fetch(plan.donors, objects);
        const made = { ...madeFor(this.request.videoId, making) };
        if (answersEarly) this.#answer(made);
        const put = (key: string, body: Uint8Array): Promise<string> =>
          putNew(objects, key, body, {}, () => `${++this.#suffix}`);
        made.videoKey = await put(made.videoKey, made.video);
        if (this.request.cache === 'auto') made.latentKey = await put(made.latentKey, made.latent);
        this.#answer(made);
      },
    };
  }

  commit(name: string, skew = 0): Actor {
    return {
      name: `${name} commit`,
      skew,
      restarts: 1,
      isReady: () =>
        !this.isStopped &&
        this.lookup !== null &&
        (this.lookup.plan.hit === 'exact'
          ? this.#world.now <= this.leasedUntil
          : this.generation !== null) &&
        this.#world.now < this.#answeredAt + LATEST_COMMIT_MILLISECONDS,
      run: async ({ table, vectors }) => {
        const services = { vectors, compatibilityKey: COMPATIBILITY_KEY, ...jobEnd(table) };
        const input: CommitInput = {
          ...this.#input,
          lookup: this.lookup!,
          ...(this.generation !== null && { generation: this.generation }),
        };
        try {
          await createCommitHandler(services)(input);
        } catch (error) {
          const { name, message, cause } = error as Error;
          if (!(cause instanceof FlexCacheError)) throw error;
          await createFailHandler(services)({ ...input, error: { Error: name, Cause: message } });
        }
      },
    };
  }

  /** Somebody ends the execution: what runs runs on, and the end of the job is told from outside. */
  stop(name: string): Actor {
    return {
      name,
      restarts: 1,
      run: async ({ table }) => {
        this.isStopped = true;
        await createFailHandler(jobEnd(table))({
          execution: executionName(this.request.videoId, this.#attempt),
          error: { Error: 'States.Timeout', Cause: 'the execution timed out' },
        });
      },
    };
  }

  /** The failed job is submitted once more. */
  resubmission(name: string): { actor: Actor; next: Execution } {
    const next = new Execution(this.#world, this.request, {
      vector: this.#vector,
      attempt: this.#attempt + 1,
    });
    next.isStopped = true;
    const actor: Actor = {
      name,
      isReady: () => this.#world.job(this.request.videoId)!['status']!.S === 'failed',
      run: async ({ table }) => {
        await table.resubmitJob(this.request.videoId);
        next.isStopped = false;
      },
    };
    return { actor, next };
  }

  /** The first answer counts. */
  #answer(made: Made): void {
    if (this.generation !== null || this.isStopped) return;
    const { hit, donors, startTime } = this.lookup!.plan;
    this.generation = answerOf(this.request, made, { hit, donors, startTime });
    this.#answeredAt = this.#world.now;
  }

  async #fetch(donors: readonly Donor[], objects: Stores['objects']): Promise<void> {
    const get = async (key: string): Promise<Uint8Array> => {
      const bytes = await objects.get(key);
      if (!key.includes(sha256Of(bytes).slice(0, 16))) {
        throw new Violation(`${key} is read and has other bytes than its name says`);
      }
      return bytes;
    };
    const { dropped } = await loadDonors(
      donors,
      { get, getRange: (key, start, bytes) => objects.getRange(key, start, bytes) },
      EXPECTED_LATENT,
      { layers: LAYERS },
    );
    if (dropped.length === 0 || this.#world.now > this.leasedUntil || this.mayLackDonors) return;
    const [{ donor, error }] = dropped as [(typeof dropped)[number]];
    const is = error instanceof ObjectMissingError ? 'gone' : `no donor (${error.message})`;
    throw new Violation(`the latent of ${donor.entryId} is ${is} while it is leased`);
  }

  get #input(): LookupInput {
    return {
      request: this.request,
      embed: {
        embedding: {
          objectPhrase: null,
          backgroundPhrase: null,
          vectors: { whole: [...this.#vector], object: null, background: null },
        },
        seconds: 0.1,
        usage: { step: 'embed' },
        startedAt: Date.now(),
      },
    };
  }
}

function donorOf(entryId: string): Donor {
  return { entryId, part: 'whole', similarity: 0.9, latentKey: madeFor(entryId).latentKey };
}
