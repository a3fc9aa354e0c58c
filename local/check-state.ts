import { decodeLatent } from '#codec/decode-latent.ts';
import { FlexCacheError } from '#core/errors.ts';
import { mediaKeysOf, type Entry, type Job, type MediaFiles } from '#core/generation.ts';
import { imageObjectKey } from '#core/requests/identity.ts';
import { sha256Of } from '#ports/object-key.ts';
import { DynamoRetentionTable } from '#aws/dynamo-retention-table.ts';
import type { ObjectStore } from '#ports/objects.ts';
import type { RetentionTable } from '#ports/retention-table.ts';
import type { Table } from '#ports/table.ts';
import type { VectorIndex } from '#ports/vector-index.ts';
import { ExactVectorIndex } from './exact-vector-index.ts';
import { FileObjectStore } from './file-object-store.ts';
import { openStateFolder, type StateUse } from './state-folder.ts';
import { startTableServer } from './table-server.ts';

/** The stores of a state folder without models and workflow. */
export interface OpenedState extends AsyncDisposable {
  table: Table;
  objects: ObjectStore;
  vectors: VectorIndex;
  retention: RetentionTable;
}

/** Something of a state that is not as the write order leaves it. */
export interface StateFinding {
  /**
   * A `problem` costs a video or a hit. A `remark` costs nothing: it is what a run that was cut short
   * or an entry that was removed leaves behind, and no look-up ever uses it.
   */
  severity: 'problem' | 'remark';
  kind:
    | 'latent_unusable'
    | 'video_unusable'
    | 'entry_without_vectors'
    | 'vector_without_entry'
    | 'object_without_owner'
    | 'donor_gone'
    | 'job_unfinished';
  /** Of the video, the entry or the object. */
  id: string;
  message: string;
}

export interface StateCheck {
  jobs: Job[];
  entries: Entry[];
  findings: StateFinding[];
}

/** @throws FlexCacheError as `openStateFolder`. */
export async function openState(
  stateDirectory: string,
  use: StateUse = 'create',
): Promise<OpenedState> {
  await using opened = new AsyncDisposableStack();
  const state = await openStateFolder(stateDirectory, use);
  opened.defer(() => state.release());
  const server = await startTableServer({ path: state.table });
  opened.defer(() => server.close());
  const objects = await FileObjectStore.open(state.objects, { isReadOnly: use === 'read' });
  const vectors = await ExactVectorIndex.open(state.vectors);
  opened.defer(() => vectors.close());
  if (vectors.needsRebuild || server.droppedBytes > 0)
    await vectors.rebuild(server.table.scanEntries());
  const ours = opened.move();
  return {
    table: server.table,
    objects,
    vectors,
    retention: new DynamoRetentionTable(server.connection),
    [Symbol.asyncDispose]: () => ours.disposeAsync(),
  };
}

/**
 * Reads everything that a state folder holds and checks that table, objects and vectors agree.
 *
 * @example
 * await using state = await openState('.flexcache', 'read');
 * const { findings } = await checkState(state);
 */
export async function checkState({ table, objects, vectors }: OpenedState): Promise<StateCheck> {
  const jobs: Job[] = [];
  for await (const job of table.scanJobs()) jobs.push(job);
  const entries = new Map<string, Entry>();
  for await (const entry of table.scanEntries()) entries.set(entry.entryId, entry);
  const findings: StateFinding[] = [];
  const find = (
    severity: StateFinding['severity'],
    kind: StateFinding['kind'],
    id: string,
    message: string,
  ): void => {
    findings.push({ severity, kind, id, message });
  };

  const indexed = new Set<string>();
  for await (const entryId of vectors.list()) indexed.add(entryId);
  const owned = new Set<string>();
  for (const entry of entries.values()) {
    const { entryId } = entry;
    owned.add(entry.latentKey);
    if (entry.state !== 'READY') continue;
    const latentFault = await faultOf(async () => {
      const container = await objects.get(entry.latentKey);
      if (sha256Of(container) !== entry.latentSha256) throw differs(entry.latentKey);
      decodeLatent(container, { compatibilityKey: entry.compatibilityKey });
    });
    if (latentFault !== null) find('problem', 'latent_unusable', entryId, latentFault);
    if (!indexed.has(entryId)) {
      find('problem', 'entry_without_vectors', entryId, 'the vector index does not propose it');
    }
  }
  for (const entryId of indexed) {
    if (entries.has(entryId)) continue;
    find('remark', 'vector_without_entry', entryId, 'the table does not have this entry');
  }

  const checked = new Set<string>();
  const checkVideo = async (id: string, video: MediaFiles): Promise<void> => {
    for (const key of mediaKeysOf(video)) {
      owned.add(key);
      if (checked.has(key)) continue;
      checked.add(key);
      const fault = await faultOf(async () => {
        const { byteLength } = await objects.get(key);
        if (key === video.videoKey && byteLength !== video.videoBytes) throw differs(key);
      });
      if (fault !== null) find('problem', 'video_unusable', id, fault);
    }
  };
  for (const entry of entries.values()) await checkVideo(entry.entryId, entry);
  for (const { videoId, status, result, image } of jobs) {
    if (image !== undefined) owned.add(imageObjectKey(videoId, image));
    if (status === 'queued' || status === 'running') {
      find('remark', 'job_unfinished', videoId, `it was left ${status}`);
    }
    if (result === undefined) continue;
    await checkVideo(videoId, result);
    for (const { entryId, latentKey } of result.donors) {
      const donor = entries.get(entryId);
      if (donor !== undefined && donor.latentKey === latentKey) continue;
      find('remark', 'donor_gone', videoId, `its donor ${entryId} is not in the table`);
    }
  }
  for await (const { key } of objects.list('')) {
    if (!owned.has(key) && !isOfBackfill(key))
      find('remark', 'object_without_owner', key, 'nothing refers to it');
  }
  return { jobs, entries: [...entries.values()], findings };
}

/** Files of backfills are kept for those who made them. */
function isOfBackfill(key: string): boolean {
  return key.startsWith('backfills/') || key.startsWith('uploads/');
}

async function faultOf(check: () => Promise<void>): Promise<string | null> {
  try {
    await check();
    return null;
  } catch (error) {
    if (error instanceof FlexCacheError && error.code !== 'internal') return error.message;
    throw error;
  }
}

function differs(key: string): FlexCacheError {
  return new FlexCacheError('object_corrupt', `object ${key} is not the one that the table names`);
}
