import type { Backfill } from '#core/requests/backfill.ts';
import type { Job } from '#core/generation.ts';
import { hasEnded } from '#core/requests/has-ended.ts';
import type { Notification } from '#ports/notifications.ts';
import { eventIdOf } from '../shared/webhooks/announcement.ts';
import { conflict } from './api-error.ts';
import type { ApiServices } from './services.ts';

/**
 * Has the end of a video or a backfill announced once more, at once and whatever became of it before;
 * the same announcement, under the same id.
 *
 * @throws ApiError 409 when it has no webhook, or has not ended.
 */
export async function redeliver(
  { deliveries, notifications }: Pick<ApiServices, 'deliveries' | 'notifications'>,
  notification: Notification,
  ended: Job | Backfill,
): Promise<void> {
  const { kind, id } = notification;
  if (ended.webhook === null) {
    throw conflict('webhook_missing', `${kind} ${id} was made without a webhook: read it instead`);
  }
  if (!hasEnded(ended)) {
    throw conflict('not_ended', `${kind} ${id} has not ended: its webhook is told when it has`);
  }
  const eventId = eventIdOf(ended);
  const { webhookDelivery: before } = ended;
  const {
    deliveredAt: _,
    gaveUpAt: __,
    ...kept
  } = before?.eventId === eventId ? before : { eventId, attempts: 0 };
  await deliveries.record(notification, { ...kept, nextAttemptAt: new Date().toISOString() });
  await notifications.send(notification);
}
