import type { OpenedTrace } from './open-trace.ts';
import type { PromptVectors } from './prompt-vectors.ts';
import type { SimulationAnswer, SimulationQuestion } from './run-simulation.ts';
import { dollarDigits, percent, semanticHits } from './simulation-rows.ts';

/** A finished simulation and its inputs. */
export interface Simulation {
  path: string;
  trace: OpenedTrace;
  embedder: Pick<PromptVectors, 'name' | 'revision' | 'knowsParts' | 'rules' | 'shows'>;
  question: SimulationQuestion;
  answer: SimulationAnswer;
}

/** Context that a reader needs before the figures. */
export interface Fact {
  about: string;
  says: string[];
}

/** Describes the inputs of the figures. */
export function factsOf({ path, trace, embedder, question, answer }: Simulation): Fact[] {
  const { profile } = question;
  const { book, machine } = answer;
  const days = (answer.to - answer.from) / 86_400_000;
  const size = `${path}: ${answer.requests} requests in ${days.toFixed(1)} days`;
  return [
    {
      about: 'trace',
      says: [
        `${size}${trace.isSynthetic ? ', SYNTHETIC' : ''}`,
        ...(trace.about === null ? [] : [trace.about]),
        ...(trace.rejectedLines === 0
          ? []
          : [`Skipped ${trace.rejectedLines} lines without a prompt.`]),
        ...(question.isShuffled
          ? ['SHUFFLED: replays its requests in random order at its times.']
          : []),
      ],
    },
    {
      about: 'vectors',
      says: [
        `${embedder.name}: ${embedder.rules}`,
        ...(embedder.knowsParts
          ? []
          : ['It embeds only whole prompts: no object or background is reused.']),
        embedder.shows,
      ],
    },
    {
      about: 'video',
      says: [
        `${profile.name}: ${profile.latentBytes} bytes a latent, ${profile.secondsPerEvaluation} s an evaluation, ${profile.steps} evaluations${profile.hasTunedSteps ? '' : '; hits run their share of them'}`,
        `From ${profile.source}`,
      ],
    },
    {
      about: 'prices',
      says: [
        `${book.region} as of ${book.asOf}; GPU ${machine.instanceType} ${machine.purchaseOption}, ${answer.dollarsPerGpuHour} $ an hour`,
      ],
    },
  ];
}

/** Explains how to read the figures. */
export function remarksOf({ answer, question }: Simulation): string[] {
  const { inOrder, shuffled, capacity } = answer.control;
  const digits = dollarDigits(answer);
  const hasUnlimited = question.capacities.some(({ name }) => name === 'unlimited');
  return [
    `locality: at capacity ${capacity} an LRU cache starts ${percent(semanticHits(inOrder))} of the requests in order from another prompt's video, ${percent(semanticHits(shuffled))} of the same requests shuffled; it costs ${inOrder.dollars.total.toFixed(digits)} $ and ${shuffled.dollars.total.toFixed(digits)} $`,
    '* is the cheapest for its capacity and tier. "saved" is relative to no cache.',
    '"skipped" is the mean share of the evaluations; "first pass" excludes exact answers and repeated prompts.',
    ...(hasUnlimited
      ? ['Without a limit lru, lfu, fifo, lcbfu and gdsf evict nothing and equal all.']
      : []),
  ];
}
