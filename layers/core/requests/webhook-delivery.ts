/** What became of an announcement, as stored beside what it announces. */
export interface WebhookDelivery {
  /** Names the announcement: one end of one attempt has one, however often it is sent. */
  eventId: string;
  /** How often it was sent. */
  attempts: number;
  /** ISO 8601, UTC: when the receiver took it. */
  deliveredAt?: string;
  /** When it was sent for the last time, without success. */
  gaveUpAt?: string;
  lastAttemptAt?: string;
  /** When it is sent again, where that is still to come. */
  nextAttemptAt?: string;
  /** HTTP status of the receiver's last answer; absent when the last time brought none. */
  lastStatus?: number;
  /** What went wrong the last time. */
  lastError?: string;
}

/** Whether the announcement with this id need not be sent any more. */
export function isSettled(delivery: WebhookDelivery | undefined, eventId: string): boolean {
  if (delivery?.eventId !== eventId) return false;
  return delivery.deliveredAt !== undefined || delivery.gaveUpAt !== undefined;
}
