import type { OpenedTrace } from './open-trace.ts';
import type { PromptVectors } from './prompt-vectors.ts';
import type { SimulationAnswer, SimulationQuestion } from './run-simulation.ts';
import { dollarDigits, percent, semanticHits } from './simulation-rows.ts';

/** A finished simulation and what it was made from. */
export interface Simulation {
  path: string;
  trace: OpenedTrace;
  embedder: Pick<PromptVectors, 'name' | 'revision' | 'knowsParts' | 'rules'>;
  question: SimulationQuestion;
  answer: SimulationAnswer;
}

/** What a reader must know before the figures, one fact a line. */
export function factsOf({ path, trace, embedder, question, answer }: Simulation): string[] {
  const { profile } = question;
  const { book, machine } = answer;
  const days = (answer.to - answer.from) / 86_400_000;
  return [
    `trace    ${path}: ${answer.requests} requests in ${days.toFixed(1)} days${trace.isSynthetic ? ', SYNTHETIC' : ''}`,
    ...(trace.about === null ? [] : [`         ${trace.about}`]),
    ...(trace.rejectedLines === 0
      ? []
      : [`         ${trace.rejectedLines} lines hold no prompt and are left out`]),
    `vectors  ${embedder.name}: ${embedder.rules}`,
    ...(embedder.knowsParts
      ? []
      : ['         It knows whole prompts only: no object or background is reused.']),
    '         An entry is found by the vectors of its prompt; that a video may fail to show it is not modelled.',
    `video    ${profile.name}: ${profile.latentBytes} bytes a latent, ${profile.secondsPerEvaluation} s an evaluation, ${profile.steps} evaluations${profile.hasTunedSteps ? '' : '; hits run their share of them'}`,
    `         from ${profile.source}`,
    `prices   ${book.region} as of ${book.asOf}; GPU ${machine.instanceType} ${machine.purchaseOption}, ${answer.dollarsPerGpuHour} $ an hour`,
    ...(question.isShuffled
      ? ['order    SHUFFLED: the requests in drawn order at the times of the trace']
      : []),
  ];
}

/** What a reader must know to read the figures. */
export function remarksOf({ answer, question }: Simulation): string[] {
  const { inOrder, shuffled, capacity } = answer.control;
  const digits = dollarDigits(answer);
  const hasUnlimited = question.capacities.some(({ name }) => name === 'unlimited');
  return [
    `locality: at capacity ${capacity} an LRU cache starts ${percent(semanticHits(inOrder))} of the requests in order from another prompt's video, ${percent(semanticHits(shuffled))} of the same requests shuffled; it costs ${inOrder.dollars.total.toFixed(digits)} $ and ${shuffled.dollars.total.toFixed(digits)} $`,
    '* is the cheapest for its capacity and tier. "saved" is against no cache at all.',
    '"skipped" is the mean share of the evaluations; "first pass" leaves out exact answers and prompts that were there before.',
    ...(hasUnlimited
      ? ['Without a limit lru, lfu, fifo, lcbfu and gdsf drop nothing: they are as all.']
      : []),
  ];
}
