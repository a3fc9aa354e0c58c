import type { Simulation } from './describe-simulation.ts';

/** Formats a simulation as one JSON object; money in dollars, times in ISO 8601. */
export function simulationJson({ path, trace, embedder, question, answer }: Simulation): string {
  const { book, machine, dollarsPerGpuHour, control } = answer;
  const { fastTierBytes, profile, measured, scope, storageClass, seed, isShuffled } = question;
  return `${JSON.stringify({
    trace: {
      path,
      about: trace.about,
      synthetic: trace.isSynthetic,
      rejectedLines: trace.rejectedLines,
      requests: answer.requests,
      from: new Date(answer.from).toISOString(),
      to: new Date(answer.to).toISOString(),
    },
    embedder: {
      name: embedder.name,
      revision: embedder.revision,
      knowsParts: embedder.knowsParts,
      rules: embedder.rules,
      shows: embedder.shows,
    },
    prices: {
      region: book.region,
      asOf: book.asOf,
      machine,
      dollarsPerGpuHour,
      overrides: Object.fromEntries(
        Array.from(measured, ([id, amount]) => [id, Number(amount) / 1e12]),
      ),
    },
    videoProfile: profile,
    fastTierBytes,
    scope,
    storageClass,
    shuffled: isShuffled,
    shuffleSeed: seed,
    caches: answer.results,
    control,
  })}\n`;
}
