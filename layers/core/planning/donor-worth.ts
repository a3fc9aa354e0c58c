/**
 * Worth of a full generation's result as a donor, as a share of the evaluations that it took, if a
 * calibration limits the reuse depth. Chosen on simulated traces: with 0, caches fill with entries at
 * the limit.
 */
const WORTH_AS_DONOR = 0.4;

/**
 * Computes the worth of a result as a donor, in evaluations of all tokens: the closer to the
 * limit, the lower. Without a limit, all results are worth the same.
 *
 * @param maxReuseDepth limit of the calibration; Infinity for none
 */
export function worthAsDonor(reuseDepth: number, maxReuseDepth: number, fullSteps: number): number {
  const share = Math.min(1, reuseDepth / maxReuseDepth);
  return WORTH_AS_DONOR * fullSteps * (1 - share ** 2);
}
