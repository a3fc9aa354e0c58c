import type { Backfill } from '#core/requests/backfill.ts';
import type { Job } from '#core/generation.ts';
import { executionName } from '#core/requests/identity.ts';
import { isSettled, type WebhookDelivery } from '#core/requests/webhook-delivery.ts';
import type { BackfillTable } from '#ports/backfills.ts';
import type { Notification } from '#ports/notifications.ts';
import type { Table } from '#ports/table.ts';
import { backfillObject, type BackfillObjectServices } from '../resources/backfill-object.ts';
import type { WireBackfill } from '../resources/schemas/backfill.ts';
import type { WireVideo } from '../resources/schemas/video.ts';
import { videoObject, type VideoObjectServices } from '../resources/video-object.ts';

export interface AnnouncementServices extends VideoObjectServices, BackfillObjectServices {
  table: Pick<Table, 'getJob' | 'readQueue'>;
  backfills: Pick<BackfillTable, 'getBackfill' | 'listLines'>;
}

/** Something that has ended and is to be told. */
export interface Announcement {
  /** Names this end; the same however often it is told. */
  eventId: string;
  tenant: string;
  url: string;
  delivery: WebhookDelivery | undefined;
  /** What is sent, as JSON. */
  body(): Promise<string>;
}

/**
 * What there is to tell now. Null when nobody asked, when it is under way (again), was deleted, or was
 * told already.
 */
export async function readAnnouncement(
  services: AnnouncementServices,
  { kind, id }: Notification,
): Promise<Announcement | null> {
  if (kind === 'video') {
    const job = await services.table.getJob(id);
    return job && announcementOfVideo(services, job);
  }
  const backfill = await services.backfills.getBackfill(id);
  return backfill && announcementOfBackfill(services, backfill);
}

/** Whether the end of a job is still to be told. */
export function isUndelivered(ended: Job | Backfill): boolean {
  const { webhook, status, webhookDelivery } = ended;
  if (webhook === null || status === 'queued' || status === 'running') return false;
  if ('deletedAt' in ended && ended.deletedAt !== undefined) return false;
  return !isSettled(webhookDelivery, eventIdOf(ended));
}

function announcementOfVideo(services: AnnouncementServices, job: Job): Announcement | null {
  if (!isUndelivered(job)) return null;
  return {
    eventId: eventIdOf(job),
    tenant: job.tenant,
    url: job.webhook!,
    delivery: job.webhookDelivery,
    body: async () => event('video', job, unsent(await videoObject(services, job))),
  };
}

function announcementOfBackfill(
  services: AnnouncementServices,
  backfill: Backfill,
): Announcement | null {
  if (!isUndelivered(backfill)) return null;
  return {
    eventId: eventIdOf(backfill),
    tenant: backfill.tenant,
    url: backfill.webhook!,
    delivery: backfill.webhookDelivery,
    body: async () => event('backfill', backfill, unsent(await backfillObject(services, backfill))),
  };
}

/** An attempt ends once, and has an execution of its own. */
export function eventIdOf(ended: Job | Backfill): string {
  const name = 'videoId' in ended ? executionName(ended.videoId, ended.attempt) : ended.backfillId;
  return `evt_${name}`;
}

/** An announcement is the same each time it is sent: it says nothing of how often it was. */
function unsent<Told extends WireVideo | WireBackfill>(told: Told): Told {
  return { ...told, webhook_delivery: null };
}

function event(
  kind: Notification['kind'],
  { status, completedAt, updatedAt }: Job | Backfill,
  data: object,
): string {
  return JSON.stringify({ type: `${kind}.${status}`, timestamp: completedAt ?? updatedAt, data });
}
