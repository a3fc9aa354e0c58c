import { open, readFile, type FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';
import { crc32 } from 'node:zlib';
import type { VectorRecord, VectorScope } from '#ports/vector-index.ts';
import { packVector, unpackVector } from '#aws/table-items.ts';
import { createFolderDurably, replaceDurably } from './durable-file.ts';
import { systemErrorCode } from './file-errors.ts';

/** One change of the index. */
export type VectorChange =
  { kind: 'put'; record: VectorRecord } | { kind: 'delete'; entryId: string };

/** How much of the index the file holds: `partial` and `missing` call for a rebuild. */
export type VectorLogState = 'complete' | 'partial' | 'missing';

/** Its name in the folder of the index. */
export const LOG_FILE = 'vectors.log';

const MAGIC = Buffer.from('fcvec/1\n', 'latin1');
const HEADER_BYTES = MAGIC.length + 1;
const COMPLETE = 1;
const PARTIAL = 0;
/** Payload length and its crc32. */
const FRAME_BYTES = 8;
const CHUNK_BYTES = 1 << 20;

/**
 * Changes of the vector index in one append-only file:
 *
 *     'fcvec/1\n' | u8 complete | ( u32 length | u32 crc32 | payload )*
 *     payload = u32 length of JSON | JSON (the change without its vector) | float32 vector
 *
 * Reading stops at the first record that does not check out; what follows is dropped.
 */
export class VectorLog {
  readonly #path: string;
  #file: FileHandle;
  #bytes: number;

  private constructor(path: string, file: FileHandle, bytes: number) {
    this.#path = path;
    this.#file = file;
    this.#bytes = bytes;
  }

  /** Reads what the file holds and stands ready to append to it. */
  static async open(
    path: string,
    apply: (change: VectorChange) => void,
  ): Promise<{ log: VectorLog; state: VectorLogState }> {
    const content = await readIfThere(path);
    const { state, end } = readChanges(content, apply);
    if (state === 'missing') {
      await createFolderDurably(dirname(path), dirname(path));
      await replaceDurably(path, [headerOf('partial')]);
    }
    const file = await open(path, 'r+');
    const log = new VectorLog(path, file, state === 'missing' ? HEADER_BYTES : end);
    if (content && end < content.length && state !== 'missing') {
      // Marked before the tail is cut: a crash in between must not make the file look whole.
      await file.write(headerOf('partial'), 0, HEADER_BYTES, 0);
      await file.sync();
      await file.truncate(end);
      await file.sync();
    }
    return { log, state };
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** The changes are on the disk when this resolves; when it rejects, none of them is in the log. */
  async append(changes: readonly VectorChange[]): Promise<void> {
    const bytes = Buffer.concat(changes.map(frameOf));
    try {
      await writeAll(this.#file, bytes, this.#bytes);
      await this.#file.datasync();
    } catch (error) {
      await this.#file.truncate(this.#bytes).catch(() => undefined);
      throw error;
    }
    this.#bytes += bytes.length;
  }

  /** Replaces the file by one that holds just these records. */
  async rewrite(records: Iterable<VectorRecord>, state: 'complete' | 'partial'): Promise<void> {
    let bytes = 0;
    const counted = function* (chunks: Iterable<Buffer>): Iterable<Buffer> {
      for (const chunk of chunks) {
        bytes += chunk.length;
        yield chunk;
      }
    };
    await replaceDurably(this.#path, counted(chunksOf(headerOf(state), records)));
    const file = await open(this.#path, 'r+');
    await this.#file.close();
    this.#file = file;
    this.#bytes = bytes;
  }

  async close(): Promise<void> {
    await this.#file.close();
  }
}

/** Bytes that one record takes in the file, about. */
export function frameBytes(scope: VectorScope, entryId: string, dimensions: number): number {
  const { tenant, compatibilityKey } = scope;
  return 96 + entryId.length + tenant.length + compatibilityKey.length + 4 * dimensions;
}

async function readIfThere(path: string): Promise<Buffer | null> {
  try {
    return await readFile(path);
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return null;
    throw error;
  }
}

function readChanges(
  content: Buffer | null,
  apply: (change: VectorChange) => void,
): { state: VectorLogState; end: number } {
  if (!content || !content.subarray(0, MAGIC.length).equals(MAGIC)) {
    return { state: 'missing', end: 0 };
  }
  if (content.length < HEADER_BYTES) return { state: 'missing', end: 0 };
  let offset = HEADER_BYTES;
  while (offset + FRAME_BYTES <= content.length) {
    const length = content.readUInt32LE(offset);
    const payload = content.subarray(offset + FRAME_BYTES, offset + FRAME_BYTES + length);
    if (payload.length !== length || crc32(payload) !== content.readUInt32LE(offset + 4)) break;
    const change = parseChange(payload);
    if (change === null) break;
    apply(change);
    offset += FRAME_BYTES + length;
  }
  const whole = offset === content.length && content[MAGIC.length] === COMPLETE;
  return { state: whole ? 'complete' : 'partial', end: offset };
}

function headerOf(state: 'complete' | 'partial'): Buffer {
  return Buffer.concat([MAGIC, Buffer.of(state === 'complete' ? COMPLETE : PARTIAL)]);
}

function frameOf(change: VectorChange): Buffer {
  const vector = change.kind === 'put' ? packVector(change.record.vector) : Buffer.alloc(0);
  const said = change.kind === 'put' ? { ...change.record, vector: undefined } : change;
  const json = Buffer.from(JSON.stringify(said), 'utf8');
  const payload = Buffer.alloc(4 + json.length + vector.length);
  payload.writeUInt32LE(json.length, 0);
  payload.set(json, 4);
  payload.set(vector, 4 + json.length);
  const frame = Buffer.alloc(FRAME_BYTES);
  frame.writeUInt32LE(payload.length, 0);
  frame.writeUInt32LE(crc32(payload), 4);
  return Buffer.concat([frame, payload]);
}

/** Null for a run of zeros, whose checksum is zero too. */
function parseChange(payload: Buffer): VectorChange | null {
  if (payload.length < 4) return null;
  const vectorStart = 4 + payload.readUInt32LE(0);
  const said = payload.toString('utf8', 4, vectorStart);
  if (said === '') return null;
  const change = JSON.parse(said) as
    Omit<VectorRecord, 'vector'> | (VectorChange & { kind: 'delete' });
  if ('kind' in change) return change;
  return {
    kind: 'put',
    record: { ...change, vector: unpackVector(payload.subarray(vectorStart)) },
  };
}

function* chunksOf(header: Buffer, records: Iterable<VectorRecord>): Iterable<Buffer> {
  let chunk: Buffer[] = [header];
  let bytes = header.length;
  for (const record of records) {
    const frame = frameOf({ kind: 'put', record });
    chunk.push(frame);
    bytes += frame.length;
    if (bytes < CHUNK_BYTES) continue;
    yield Buffer.concat(chunk);
    chunk = [];
    bytes = 0;
  }
  yield Buffer.concat(chunk);
}

async function writeAll(file: FileHandle, bytes: Buffer, position: number): Promise<void> {
  for (let written = 0; written < bytes.length;) {
    const { bytesWritten } = await file.write(
      bytes,
      written,
      bytes.length - written,
      position + written,
    );
    written += bytesWritten;
  }
}
