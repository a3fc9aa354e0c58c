import { isDeepStrictEqual } from 'node:util';
import type { Backfill, BackfillDefaults } from '#core/requests/backfill.ts';
import { hasEnded } from '#core/requests/has-ended.ts';
import { randomBackfillId } from '#core/requests/identity.ts';
import { DEFAULT_TENANT } from '#local/default-tenant.ts';
import type { EmbeddedCloud } from '#local/embedded-cloud.ts';
import { sha256Of } from '#ports/object-key.ts';
import type { RequestFile } from './open-requests.ts';

/** Marks what the command made: nobody else goes on with it. */
const MADE_BY_COMMAND = { 'made-by': 'flexcache backfill' };

/** A run that was killed is among the latest. */
const LOOKED_AT = 20;

const HASH_CHARACTERS = 32;

/**
 * The backfill of a file, ready to be started: the one that a killed run of the same file left, or a
 * new one. What killed runs of other files left is ended.
 */
export async function submitFile(
  cloud: EmbeddedCloud,
  { format, content }: RequestFile,
  concurrency: number,
  defaults: BackfillDefaults,
): Promise<Backfill> {
  const { backfills } = cloud.services;
  const hash = sha256Of(content).slice(0, HASH_CHARACTERS);
  const inputKey = `uploads/${DEFAULT_TENANT}/${hash}.${format}`;
  const asked = { inputKey, format, concurrency, defaults, modelRevision: cloud.modelRevision };

  const { items } = await backfills.listBackfills(DEFAULT_TENANT, { limit: LOOKED_AT });
  let left: Backfill | undefined;
  for (const backfill of items.filter(isLeftByCommand)) {
    const { cancelRequested } = backfill;
    const isSame = isDeepStrictEqual({ ...backfill, ...asked }, backfill);
    if (isSame && !cancelRequested && left === undefined) left = backfill;
    else await cloud.backfills.stop(backfill.backfillId);
  }
  await cloud.objects.put(inputKey, content);
  if (left !== undefined) return left;

  const createdAt = new Date().toISOString();
  const { backfill } = await backfills.createBackfill({
    ...asked,
    backfillId: randomBackfillId(),
    tenant: DEFAULT_TENANT,
    status: 'queued',
    // Each failure is said when it happens, and no line fails for another.
    toleratedFailurePercentage: 100,
    webhook: null,
    metadata: MADE_BY_COMMAND,
    createdAt,
    updatedAt: createdAt,
    cancelRequested: false,
  });
  return backfill;
}

function isLeftByCommand({ status, metadata }: Backfill): boolean {
  return !hasEnded({ status }) && isDeepStrictEqual(metadata, MADE_BY_COMMAND);
}
