import type { Backfill, BackfillLine } from '#core/requests/backfill.ts';
import type { HitKind } from '#core/generation.ts';
import { formatUsd } from '#core/pricing/money.ts';
import type { BackfillTable } from '#ports/backfills.ts';
import type { ObjectStore } from '#ports/objects.ts';
import type { WireBackfill, WireBackfillSummary } from './schemas/backfill.ts';
import { noHits } from '../prediction.ts';
import { epochSeconds } from './epoch-seconds.ts';
import { webhookDelivery } from './webhook-object.ts';
import { wireStatus, workError } from './video-object.ts';

/** How long an address of a result can be used. */
export const LINK_SECONDS = 3600;

export interface BackfillObjectServices {
  backfills: Pick<BackfillTable, 'listLines'>;
  objects: Pick<ObjectStore, 'presign'>;
}

/** A backfill as its owner is shown it in a list. */
export function backfillSummary(backfill: Backfill): WireBackfillSummary {
  return {
    id: backfill.backfillId,
    object: 'backfill',
    status: wireStatus(backfill.status),
    created_at: epochSeconds(backfill.createdAt),
    started_at: backfill.startedAt === undefined ? null : epochSeconds(backfill.startedAt),
    completed_at: backfill.completedAt === undefined ? null : epochSeconds(backfill.completedAt),
    lines: backfill.lines ?? null,
    input_key: backfill.inputKey,
    format: backfill.format,
    concurrency: backfill.concurrency,
    tolerated_failure_percentage: backfill.toleratedFailurePercentage,
    error: workError(backfill.error),
    metadata: backfill.metadata,
    webhook: backfill.webhook,
    webhook_delivery: webhookDelivery(backfill),
  };
}

/** A backfill as its owner is shown it, with what its lines have come to. Reads every ended line. */
export async function backfillObject(
  { backfills, objects }: BackfillObjectServices,
  backfill: Backfill,
  now: number = Date.now(),
): Promise<WireBackfill> {
  const totals = new LineTotals();
  for await (const line of backfills.listLines(backfill.backfillId)) totals.add(line);
  const { manifestKey } = backfill;
  return {
    ...backfillSummary(backfill),
    eta_at: etaOf(backfill, totals.ended, now),
    counts: {
      completed: totals.completed,
      failed: totals.failed,
      cancelled: totals.cancelled,
      already_there: totals.alreadyThere,
    },
    hits: totals.hits,
    steps_run: totals.stepsRun,
    steps_full: totals.stepsFull,
    cost: { amount: formatUsd(totals.cost), currency: 'USD' },
    results_url:
      manifestKey === undefined
        ? null
        : await objects.presign(manifestKey, {
            expiresSeconds: LINK_SECONDS,
            contentType: 'application/json',
          }),
  };
}

class LineTotals {
  completed = 0;
  failed = 0;
  cancelled = 0;
  alreadyThere = 0;
  stepsRun = 0;
  stepsFull = 0;
  /** Pico-dollars. */
  cost = 0n;
  readonly hits: Record<HitKind, number> = noHits();

  get ended(): number {
    return this.completed + this.failed + this.cancelled;
  }

  add(line: BackfillLine): void {
    this[line.status] += 1;
    if (line.alreadyThere) this.alreadyThere += 1;
    if (line.hit !== undefined && !line.alreadyThere) this.hits[line.hit] += 1;
    if (line.alreadyThere) return;
    this.stepsRun += line.stepsRun ?? 0;
    this.stepsFull += line.fullSteps ?? 0;
    this.cost += BigInt(line.cost ?? 0);
  }
}

function etaOf({ status, startedAt, lines }: Backfill, ended: number, now: number): number | null {
  if (status !== 'running' || startedAt === undefined || lines === undefined || ended === 0) {
    return null;
  }
  const begun = Date.parse(startedAt);
  return Math.ceil((now + ((now - begun) / ended) * Math.max(0, lines - ended)) / 1000);
}
