import { formatUsd } from '#core/pricing/money.ts';
import type { Prediction } from '../shared/prediction.ts';
import type { WirePrediction } from '../shared/resources/schemas/backfill.ts';

const REFUSALS: Readonly<Record<string, string>> = {
  condition_failed: 'their videos were deleted; ask for another seed to make others',
  budget_exceeded:
    "the day's budget has not so much left; send the file again tomorrow, or have the budget raised",
};

/**
 * What a backfill would come to, as its owner is shown it, with what the figures rest on.
 *
 * @param toleratedFailurePercentage more failed lines than this would end the backfill
 */
export function predictionObject(
  prediction: Prediction,
  toleratedFailurePercentage: number,
): WirePrediction {
  const { lines, rejected, lookedAt, measuredVideos } = prediction;
  const refusals = Object.entries(prediction.refused);
  const refused = refusals.reduce((sum, [, count]) => sum + count, 0);
  const isExtrapolated = lookedAt < lines - rejected;
  const notes = [
    measuredVideos > 0
      ? `GPU time as measured on ${measuredVideos} of your videos`
      : 'GPU time is assumed: none of your videos was measured yet',
    "an earlier line counts as a donor by its prompt's vectors: what its video shows is not known yet",
  ];
  for (const [code, count] of refusals) {
    notes.push(`${count} lines would be refused: ${REFUSALS[code] ?? code}`);
  }
  if (rejected + refused > (lines * toleratedFailurePercentage) / 100) {
    notes.push(
      `more than ${toleratedFailurePercentage} % of the lines would fail, which ends the backfill before all are made`,
    );
  }
  if (isExtrapolated) {
    notes.push(`the first ${lookedAt} lines were looked up; the others are taken to be like them`);
  }
  return {
    object: 'backfill.prediction',
    lines,
    rejected,
    refused,
    already_there: prediction.alreadyThere,
    looked_at: lookedAt,
    extrapolated: isExtrapolated,
    hits: prediction.hits,
    steps_run: prediction.stepsRun,
    steps_full: prediction.stepsFull,
    cost: {
      amount: formatUsd(BigInt(prediction.cost)),
      without_cache: formatUsd(BigInt(prediction.costWithoutCache)),
      currency: 'USD',
    },
    notes,
  };
}
