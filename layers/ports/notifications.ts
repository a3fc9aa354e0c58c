import { FlexCacheError } from '#core/errors.ts';

/** Something that a tenant asked to be told. */
export interface Notification {
  kind: 'video' | 'backfill';
  /** The video's or the backfill's id; what is sent is read from the table when it is sent. */
  id: string;
}

/** Announcements that wait to be delivered. `SqsNotificationQueue` (layers/aws) and `EmbeddedNotifications` (local). */
export interface NotificationQueue {
  /** The same notification may be delivered twice; receivers tell by its id. */
  send(notification: Notification): Promise<void>;
}

/** @throws FlexCacheError `invalid_input` for a message that is no notification. */
export function parseNotification(text: string): Notification {
  try {
    const { kind, id } = JSON.parse(text) as Partial<Notification>;
    if ((kind === 'video' || kind === 'backfill') && typeof id === 'string') return { kind, id };
  } catch (error) {
    throw noNotification(error);
  }
  throw noNotification();
}

function noNotification(cause?: unknown): FlexCacheError {
  return new FlexCacheError('invalid_input', 'a message of the webhook queue is no notification', {
    cause,
    fix: 'see who else writes to this queue; the message goes to the dead-letter queue',
  });
}
