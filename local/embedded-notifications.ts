import type { Backfill } from '#core/requests/backfill.ts';
import type { Job } from '#core/generation.ts';
import { isUndelivered } from '#functions/shared/webhooks/announcement.ts';
import { deliver, type DeliveryServices } from '#functions/webhook/deliver.ts';
import { pauseAfter } from '#functions/webhook/delivery-schedule.ts';
import type { Notification, NotificationQueue } from '#ports/notifications.ts';

/** Receivers that are called at once. */
const MAX_AT_ONCE = 8;
const MILLISECONDS_PER_SECOND = 1000;

/**
 * Announcements that this process delivers by itself, by the rules of the deployed function. What is
 * undelivered when it ends is found again by `resume`: the jobs say so.
 *
 * @example
 * const notifications = new EmbeddedNotifications(services);
 * await notifications.resume(table.scanJobs());
 */
export class EmbeddedNotifications implements NotificationQueue, AsyncDisposable {
  readonly #services: DeliveryServices;
  readonly #closing = new AbortController();
  /** Those that wait for their next time, by name. */
  readonly #waiting = new Map<string, NodeJS.Timeout>();
  /** Those whose time has come, in the order of their coming. */
  readonly #due: { notification: Notification; deliveries: number }[] = [];
  readonly #running = new Set<Promise<void>>();

  constructor(services: DeliveryServices) {
    this.#services = services;
  }

  async send(notification: Notification): Promise<void> {
    this.#enqueue(notification, 1);
  }

  /** Sends what a process before this one has not: of these, the ended ones whose owners were not told. */
  async resume(ended: AsyncIterable<Job | Backfill>): Promise<void> {
    for await (const one of ended) {
      if (!isUndelivered(one)) continue;
      this.#enqueue(
        'videoId' in one
          ? { kind: 'video', id: one.videoId }
          : { kind: 'backfill', id: one.backfillId },
        1,
      );
    }
  }

  /** Breaks off what is being sent and waits for it to stop. Idempotent. */
  async close(): Promise<void> {
    this.#closing.abort();
    for (const timer of this.#waiting.values()) clearTimeout(timer);
    this.#waiting.clear();
    this.#due.length = 0;
    await Promise.all(this.#running);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #enqueue(notification: Notification, deliveries: number): void {
    if (this.#closing.signal.aborted) return;
    this.#forget(notification);
    this.#due.push({ notification, deliveries });
    this.#startDue();
  }

  #startDue(): void {
    while (this.#running.size < MAX_AT_ONCE) {
      const next = this.#due.shift();
      if (next === undefined) return;
      const running = this.#deliver(next.notification, next.deliveries).finally(() => {
        this.#running.delete(running);
        this.#startDue();
      });
      this.#running.add(running);
    }
  }

  async #deliver(notification: Notification, deliveries: number): Promise<void> {
    const { signal } = this.#closing;
    try {
      const outcome = await deliver(this.#services, notification, deliveries, signal);
      if (outcome.status === 'failed') this.#retry(notification, deliveries, outcome.retrySeconds);
    } catch (error) {
      if (signal.aborted) return;
      this.#services.log({ level: 'error', event: 'webhook_unsent', id: notification.id, error });
      const retrySeconds = (this.#services.pauseAfter ?? pauseAfter)(deliveries);
      this.#retry(notification, deliveries, retrySeconds);
    }
  }

  #retry(notification: Notification, deliveries: number, seconds: number | null): void {
    if (seconds === null || this.#closing.signal.aborted) return;
    const timer = setTimeout(
      () => this.#enqueue(notification, deliveries + 1),
      seconds * MILLISECONDS_PER_SECOND,
    );
    this.#waiting.set(nameOf(notification), timer);
  }

  #forget(notification: Notification): void {
    clearTimeout(this.#waiting.get(nameOf(notification)));
    this.#waiting.delete(nameOf(notification));
  }
}

function nameOf({ kind, id }: Notification): string {
  return `${kind}/${id}`;
}
