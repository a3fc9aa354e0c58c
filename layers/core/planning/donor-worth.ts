/**
 * What a full generation's result is worth as a donor, as a share of the evaluations that making it
 * took, where a calibration limits generations. From simulated traces: where it is 0, caches fill with
 * what is at the end of its line.
 */
const WORTH_AS_DONOR = 0.4;

/**
 * What a result is worth as a donor, in evaluations of all tokens: the nearer it is to the generation
 * that is no donor any more, the less. Where no generation is too far, results are worth the same.
 *
 * @param maxGeneration of the calibration; Infinity for no limit
 */
export function worthAsDonor(generation: number, maxGeneration: number, fullSteps: number): number {
  const share = Math.min(1, generation / maxGeneration);
  return WORTH_AS_DONOR * fullSteps * (1 - share ** 2);
}
