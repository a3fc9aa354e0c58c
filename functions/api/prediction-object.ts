import { formatUsd } from '#core/money.ts';
import type { Prediction } from '../predict/prediction.ts';
import type { WirePrediction } from './schemas/backfill.ts';

/** What a backfill would come to, as its owner is shown it, with what the figures rest on. */
export function predictionObject(prediction: Prediction): WirePrediction {
  const { lines, rejected, lookedAt, measuredVideos } = prediction;
  const isExtrapolated = lookedAt < lines - rejected;
  const notes = [
    measuredVideos > 0
      ? `GPU time as measured on ${measuredVideos} of your videos`
      : 'GPU time is assumed: none of your videos was measured yet',
    "an earlier line counts as a donor by its prompt's vectors: what its video shows is not known yet",
  ];
  if (isExtrapolated) {
    notes.push(`the first ${lookedAt} lines were looked up; the others are taken to be like them`);
  }
  return {
    object: 'backfill.prediction',
    lines,
    rejected,
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
