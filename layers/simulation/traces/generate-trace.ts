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

/** A request and how it came about, which the trace itself does not tell. */
export interface SyntheticRequest extends TraceRequest {
  seed: number;
  vectors: null;
  user: number;
  session: number;
  /** `open` begins a session with something new, `return` with an earlier prompt of the user. */
  cause: 'open' | 'return' | Edit;
}

/** How many of a user's prompts may be returned to. */
const REMEMBERED_PROMPTS = 32;

/**
 * Requests of made-up users of the demo world, in the order of their times. The same parameters make
 * the same trace.
 *
 * @throws InvalidInputError naming the first wrong parameter.
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

/** What the trace says of itself: that it is made up, from what, and on whose authority. */
export function syntheticHeader(parameters: SyntheticParameters): TraceHeader {
  const { requests, seed, ...described } = parameters;
  return {
    format: TRACE_FORMAT,
    synthetic: true,
    about:
      'Made-up users of the demo world. Sessions, gaps and edits follow figures measured of real users; the rest is assumed.',
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

  /** The requests of one session; a user's sessions come in their order. */
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
