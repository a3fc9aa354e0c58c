import { createRandomSource } from '#core/random.ts';
import { drawBoolean, drawOne, drawOrder, RankSource } from './draw.ts';
import { allTopics, drawEdit, editPrompt, openingPrompt, type Edit } from './edit-prompt.ts';
import { drawSessions, type Session } from './sessions.ts';
import {
  checkParameters,
  PARAMETER_SOURCES,
  type SyntheticParameters,
} from './synthetic-parameters.ts';
import {
  TRACE_FORMAT,
  TRACE_TENANT,
  type TraceHeader,
  type TraceRequest,
} from './trace-request.ts';
import { textOf, type WorldPrompt } from './world-vocabulary.ts';

/** A request with its cause, which the trace itself omits. */
export interface SyntheticRequest extends TraceRequest {
  seed: number;
  vectors: null;
  user: number;
  session: number;
  /** `open` begins a session with a new prompt, `return` with an earlier prompt of the user. */
  cause: 'open' | 'return' | Edit;
}

/** Number of a user's prompts that the user may return to. */
const REMEMBERED_PROMPTS = 32;

/**
 * Generates requests of simulated users of the demo world, in order of time. The same parameters
 * make the same trace.
 *
 * @throws InvalidInputError that names the first invalid parameter
 */
export function generateTrace(parameters: SyntheticParameters): SyntheticRequest[] {
  checkParameters(parameters);
  const writer = new PromptWriter(parameters);
  const tenants = new TenantNames(parameters);
  const requests = drawSessions(parameters).flatMap((session, index) =>
    writer.write(session, index, tenants.of(session.user)),
  );
  return requests.sort((one, other) => one.time - other.time);
}

/**
 * Builds the trace header: marks the trace as synthetic and lists every parameter with its source.
 */
export function syntheticHeader(parameters: SyntheticParameters): TraceHeader {
  const { requests, seed, ...described } = parameters;
  return {
    format: TRACE_FORMAT,
    synthetic: true,
    about:
      'Simulated users of the demo world. Sessions, gaps and edits follow measurements of real users; the rest is assumed.',
    parameters: {
      requests,
      seed,
      ...Object.fromEntries(
        Object.entries(described).map(([name, value]) => [
          name,
          { value, source: PARAMETER_SOURCES[name as keyof typeof PARAMETER_SOURCES] },
        ]),
      ),
    },
  };
}

class PromptWriter {
  readonly #parameters: SyntheticParameters;
  readonly #remembered = new Map<number, WorldPrompt[]>();
  readonly #topics;
  readonly #topicRanks;
  readonly #random;
  readonly #seeds;

  constructor(parameters: SyntheticParameters) {
    const { seed, topicSlope } = parameters;
    this.#parameters = parameters;
    this.#topics = drawOrder(createRandomSource(seed, 'topics'), allTopics());
    const ranks = createRandomSource(seed, 'topic-ranks');
    this.#topicRanks = new RankSource(ranks, this.#topics.length, topicSlope);
    this.#random = createRandomSource(seed, 'prompts');
    this.#seeds = createRandomSource(seed, 'seeds');
  }

  /** Writes the requests of one session; call it with a user's sessions in order. */
  write({ user, times }: Session, session: number, tenant: string): SyntheticRequest[] {
    const { edits, doubleSwapShare, sameSeedShare } = this.#parameters;
    const remembered = this.#remembered.get(user) ?? [];
    this.#remembered.set(user, remembered);
    let { prompt, cause } = this.#open(remembered);
    let seed = this.#seeds.nextUint32();
    return times.map((time, turn) => {
      if (turn > 0) {
        const edit = drawEdit(this.#random, prompt, edits);
        prompt = editPrompt(this.#random, prompt, edit, doubleSwapShare);
        cause = edit;
        const keepsSeed = edit === 'same' && drawBoolean(this.#seeds, sameSeedShare);
        if (!keepsSeed) seed = this.#seeds.nextUint32();
      }
      remembered.push(prompt);
      if (remembered.length > REMEMBERED_PROMPTS) remembered.shift();
      return {
        time: Math.round(time * 1000) / 1000,
        tenant,
        prompt: textOf(prompt),
        seed,
        vectors: null,
        user,
        session,
        cause,
      };
    });
  }

  #open(remembered: readonly WorldPrompt[]): {
    prompt: WorldPrompt;
    cause: SyntheticRequest['cause'];
  } {
    const { returnShare, detailShare } = this.#parameters;
    if (remembered.length > 0 && drawBoolean(this.#random, returnShare)) {
      return { prompt: drawOne(this.#random, remembered), cause: 'return' };
    }
    const topic = this.#topics[this.#topicRanks.next()]!;
    return { prompt: openingPrompt(this.#random, topic, detailShare), cause: 'open' };
  }
}

class TenantNames {
  readonly #count: number;
  readonly #ranks: RankSource;
  readonly #ofUser = new Map<number, string>();

  constructor({ seed, tenants, userSlope }: SyntheticParameters) {
    this.#count = tenants;
    this.#ranks = new RankSource(createRandomSource(seed, 'tenants'), tenants, userSlope);
  }

  of(user: number): string {
    if (this.#count === 1) return TRACE_TENANT;
    let tenant = this.#ofUser.get(user);
    if (tenant === undefined) {
      tenant = `tenant-${this.#ranks.next() + 1}`;
      this.#ofUser.set(user, tenant);
    }
    return tenant;
  }
}
