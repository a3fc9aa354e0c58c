import { Webhook } from 'standardwebhooks';
import packageJson from '../../package.json' with { type: 'json' };
import { FlexCacheError, InvalidInputError } from '#core/errors.ts';
import type { WebhookDelivery } from '#core/requests/webhook-delivery.ts';
import type { DeliveryLog } from '#aws/deliveries.ts';
import type { Notification } from '#ports/notifications.ts';
import type { TenantTable } from '#ports/tenants.ts';
import type { Telemetry } from '../shared/telemetry.ts';
import {
  readAnnouncement,
  type Announcement,
  type AnnouncementServices,
} from '../shared/webhooks/announcement.ts';
import { pauseAfter } from './delivery-schedule.ts';
import { postWebhook, type PostOptions } from './post-webhook.ts';

export interface DeliveryServices extends AnnouncementServices {
  tenants: Pick<TenantTable, 'getTenant'>;
  deliveries: DeliveryLog;
  log: Telemetry['log'];
  /** Seconds until the next attempt after this many deliveries; null gives up. */
  pauseAfter?: (deliveries: number) => number | null;
  /** HTTP options. */
  posting?: Omit<PostOptions, 'signal'>;
  /** Current time, epoch milliseconds. */
  now?: () => number;
}

/** Outcome of one delivery attempt. */
export type DeliveryOutcome =
  | { status: 'settled' }
  | {
      status: 'failed';
      /** Null after the last attempt. */ retrySeconds: number | null;
    };

const SETTLED: DeliveryOutcome = { status: 'settled' };
const USER_AGENT = `FlexCache/${packageJson.version}`;
const MILLISECONDS_PER_SECOND = 1000;
const MAX_ERROR_CHARACTERS = 300;

/** Status with which a receiver unsubscribes (RFC 9110, Standard Webhooks). */
const GONE = 410;

/** A permanent failure, which is not retried. */
class FinalError extends Error {}

/** The receiver responded with a status other than 2xx. */
class RefusedError extends Error {
  readonly status: number;

  constructor(status: number) {
    super(`the receiver answered ${status}`);
    this.status = status;
  }
}

/**
 * Sends one event, signed with its tenant's secret, and records the outcome.
 *
 * @param deliveries number of this attempt, from 1
 */
export async function deliver(
  services: DeliveryServices,
  notification: Notification,
  deliveries: number,
  signal?: AbortSignal,
): Promise<DeliveryOutcome> {
  const announcement = await readAnnouncement(services, notification);
  if (announcement === null) return SETTLED;
  const { eventId, delivery: before } = announcement;
  const attempts = (before?.eventId === eventId ? before.attempts : 0) + 1;
  const record = (delivery: Partial<WebhookDelivery>): Promise<void> =>
    services.deliveries.record(notification, {
      eventId,
      attempts,
      lastAttemptAt: now.toISOString(),
      ...delivery,
    });
  const now = new Date(services.now?.() ?? Date.now());
  let lastStatus: number;
  try {
    lastStatus = await send(services, announcement, now, signal);
  } catch (error) {
    signal?.throwIfAborted();
    const lastError = explain(error);
    const status = error instanceof RefusedError ? error.status : null;
    const isFinal =
      error instanceof FinalError || error instanceof InvalidInputError || status === GONE;
    const retrySeconds = isFinal ? null : (services.pauseAfter ?? pauseAfter)(deliveries);
    services.log({
      level: 'warn',
      event: retrySeconds === null ? 'webhook_given_up' : 'webhook_failed',
      ...(notification.kind === 'video' && { videoId: notification.id }),
      eventId,
      attempts,
      lastError,
    });
    await record({
      lastError,
      ...(status !== null && { lastStatus: status }),
      ...(retrySeconds === null
        ? { gaveUpAt: now.toISOString() }
        : { nextAttemptAt: after(now, retrySeconds) }),
    });
    // A permanent failure needs no dead letter.
    return isFinal ? SETTLED : { status: 'failed', retrySeconds };
  }
  await record({ deliveredAt: now.toISOString(), lastStatus });
  return SETTLED;
}

function after(now: Date, seconds: number): string {
  return new Date(now.getTime() + seconds * MILLISECONDS_PER_SECOND).toISOString();
}

async function send(
  services: DeliveryServices,
  { eventId, tenant, url, body }: Announcement,
  now: Date,
  signal: AbortSignal | undefined,
): Promise<number> {
  const owner = await services.tenants.getTenant(tenant);
  if (owner === null)
    throw new FinalError(`tenant ${tenant} does not exist, so the event cannot be signed`);
  const payload = await body();
  const headers = {
    'content-type': 'application/json',
    'user-agent': USER_AGENT,
    'webhook-id': eventId,
    'webhook-timestamp': Math.floor(now.getTime() / MILLISECONDS_PER_SECOND),
    'webhook-signature': new Webhook(owner.webhookSecret).sign(eventId, now, payload),
  };
  const status = await postWebhook(url, headers, payload, {
    ...services.posting,
    ...(signal && { signal }),
  });
  if (status < 200 || status > 299) throw new RefusedError(status);
  return status;
}

function explain(error: unknown): string {
  // A failed connection to several addresses is an AggregateError without a message.
  const { message, code } = error as { message?: string; code?: string };
  const said = error instanceof FlexCacheError ? error.message : message || code || String(error);
  return said.slice(0, MAX_ERROR_CHARACTERS);
}
