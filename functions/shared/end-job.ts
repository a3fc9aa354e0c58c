import { dayOf } from '#core/day.ts';
import type { Job } from '#core/generation.ts';
import { executionName } from '#core/requests/identity.ts';
import { lineOfJob, usageOfAttempt } from './backfill-line.ts';
import type { TenantTable } from '#ports/tenants.ts';
import type { Services } from './services.ts';
import type { LookupOutput } from './states.ts';
import type { MeteringServices } from './step-meter.ts';

export type EndJobServices = Pick<
  Services,
  'table' | 'tenants' | 'backfills' | 'notifications' | 'costOf'
>;

/** What Commit and Fail work with, beside what an end takes. */
export interface EndingServices extends EndJobServices, Pick<MeteringServices, 'telemetry'> {
  /** Told once of each end, by the call that wrote it; never throws. */
  reportEnd?: (ended: Job) => void;
}

/** Leases of an execution: an earlier one of the same video must not release them. */
export interface Leases {
  /** Name of the execution. */
  holder: string;
  donorIds: readonly string[];
}

export interface JobEnd {
  /** What is leased still. Leases that nobody knows of any more lapse by themselves. */
  leases?: Leases | undefined;
  /** False when somebody else has announced the end already, as far as we know. */
  isAnnounced?: boolean;
}

/**
 * What follows when a job's status says that it has ended: leases of donors end, the tenant gets its
 * place and what is left of its reservation back, the backfill learns of its line, and who asked for
 * it is told. Every part is idempotent, so that a caller that dies in between runs it again; a part
 * that fails does not keep the others from being done.
 *
 * @throws the first error of a part.
 */
export async function endJob(
  services: EndJobServices,
  job: Job,
  { leases, isAnnounced = true }: JobEnd = {},
): Promise<void> {
  const { table, tenants, backfills, notifications } = services;
  const { videoId, tenant } = job;
  const outcomes = await Promise.allSettled([
    ...(leases?.donorIds ?? []).map((entryId) => table.releaseEntry(entryId, leases!.holder)),
    tenants.freePlace(tenant, videoId),
    // The worker that took it has taken it out.
    job.takenAt === undefined && job.result?.hit !== 'exact'
      ? table.leaveQueue(job.pool, videoId)
      : Promise.resolve(),
    settleAttempt(services, job),
    (async () => {
      const { backfill } = job;
      if (backfill !== null) await backfills.putLine(lineOfJob(services, job, backfill, false));
    })(),
    job.webhook !== null && isAnnounced
      ? notifications.send({ kind: 'video', id: videoId })
      : Promise.resolve(),
  ]);
  for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason;
}

/**
 * Ends the leases of donors before the end of a job is written: its ledger closes with that, and what
 * releasing them costs belongs there. Returns those that could not be released now, for `endJob`.
 */
export async function releaseDonors(
  { table }: Pick<EndJobServices, 'table'>,
  { holder, donorIds }: Leases,
): Promise<Leases> {
  const outcomes = await Promise.allSettled(
    donorIds.map((entryId) => table.releaseEntry(entryId, holder)),
  );
  const left = donorIds.filter((_, index) => outcomes[index]!.status === 'rejected');
  return { holder, donorIds: left };
}

/** What Lookup leased for its plan. */
export function leasesOf(
  videoId: string,
  { plan, attempt = 1 }: Pick<LookupOutput, 'plan' | 'attempt'>,
): Leases {
  const { donors, exactVideoId } = plan;
  const entryIds = donors.map(({ entryId }) => entryId);
  if (exactVideoId !== null) entryIds.push(exactVideoId);
  return { holder: executionName(videoId, attempt), donorIds: [...new Set(entryIds)] };
}

/**
 * Charges the tenant what the attempt that the job is in has cost, in the place of what was reserved for
 * it; each attempt once.
 */
export async function settleAttempt(
  { tenants, costOf }: { tenants: Pick<TenantTable, 'settle'> } & Pick<Services, 'costOf'>,
  job: Job,
): Promise<void> {
  await tenants.settle({
    tenant: job.tenant,
    day: dayOf(job.createdAt),
    videoId: executionName(job.videoId, job.attempt),
    amount: costOf({ ...job, usage: usageOfAttempt(job) }),
  });
}
