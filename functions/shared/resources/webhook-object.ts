import type { Backfill } from '#core/requests/backfill.ts';
import type { Job } from '#core/generation.ts';
import type { WireWebhookDelivery } from './schemas/fields.ts';
import { epochSeconds } from './epoch-seconds.ts';

/** What became of telling a webhook, as its owner is shown it; null before it was told anything. */
export function webhookDelivery({
  webhookDelivery: delivery,
}: Job | Backfill): WireWebhookDelivery | null {
  if (delivery === undefined) return null;
  const seconds = (date: string | undefined): number | null =>
    date === undefined ? null : epochSeconds(date);
  return {
    event_id: delivery.eventId,
    attempts: delivery.attempts,
    delivered_at: seconds(delivery.deliveredAt),
    gave_up_at: seconds(delivery.gaveUpAt),
    last_attempt_at: seconds(delivery.lastAttemptAt),
    next_attempt_at: seconds(delivery.nextAttemptAt),
    last_status: delivery.lastStatus ?? null,
    last_error: delivery.lastError ?? null,
  };
}
