/** Something that a tenant asked to be told. */
export interface Notification {
  kind: 'video' | 'backfill';
  /** The video's or the backfill's id; what is sent is read from the table when it is sent. */
  id: string;
}

/** Announcements that wait to be delivered. `SqsNotificationQueue` (layers/stores) and `EmbeddedNotifications` (local). */
export interface NotificationQueue {
  /** The same notification may be delivered twice; receivers tell by its id. */
  send(notification: Notification): Promise<void>;
}
