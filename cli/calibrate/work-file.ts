import { createReadStream } from 'node:fs';
import { mkdir, open, readdir, truncate, type FileHandle } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { asFileError } from '../output-file.ts';

/** One finished piece of work. Numbers are text of base64 float32, little-endian. */
export interface WorkRecord {
  key: string;
  [field: string]: unknown;
}

const LINE_FEED = 0x0a;
const ENDING = '.jsonl';

/**
 * Finished pieces of work in a file, one JSON line each, so that a run that is killed goes on where it
 * stood. What a kill left of a last line is cut off. Files of the same work beside it, which others write, are read too.
 */
export class WorkFile {
  readonly #records = new Map<string, WorkRecord>();
  readonly #path: string;
  #handle: FileHandle | null = null;

  private constructor(path: string) {
    this.#path = path;
  }

  /**
   * @param name of the work, without an ending
   * @param share of the work that is done here, and what the file is named after; all of it unless given
   * @throws FlexCacheError `disk_full` or `permission_denied`.
   */
  static async open(folder: string, name: string, share?: string): Promise<WorkFile> {
    const path = join(folder, `${share === undefined ? name : `${name}.${share}`}${ENDING}`);
    const file = new WorkFile(path);
    try {
      await mkdir(folder, { recursive: true });
      file.#handle = await open(path, 'a');
      const whole = await file.#load(path);
      await truncate(path, whole);
      for (const other of await readdir(folder)) {
        const isOfWork = other.startsWith(`${name}.`) && other.endsWith(ENDING);
        if (isOfWork && other !== basename(path)) await file.#load(join(folder, other));
      }
    } catch (error) {
      await file.close();
      throw asFileError(error, path);
    }
    return file;
  }

  get size(): number {
    return this.#records.size;
  }

  get(key: string): WorkRecord | undefined {
    return this.#records.get(key);
  }

  /** Keeps records on disk before it returns; a key that is there already stays as it is. */
  async add(records: readonly WorkRecord[]): Promise<void> {
    const fresh = records.filter(({ key }) => !this.#records.has(key));
    for (const record of fresh) this.#records.set(record.key, record);
    if (fresh.length === 0) return;
    try {
      const lines = fresh.map((record) => `${JSON.stringify(record)}\n`).join('');
      await this.#handle!.appendFile(lines);
    } catch (error) {
      throw asFileError(error, this.#path);
    }
  }

  async close(): Promise<void> {
    await this.#handle?.close();
    this.#handle = null;
  }

  /**
   * By pieces: the file may be longer than a string can be.
   *
   * @returns bytes of its whole lines
   */
  async #load(path: string): Promise<number> {
    let rest: Buffer = Buffer.alloc(0);
    let whole = 0;
    for await (const piece of createReadStream(path, { highWaterMark: 1 << 20 })) {
      rest = Buffer.concat([rest, piece as Buffer]);
      for (let end = rest.indexOf(LINE_FEED); end >= 0; end = rest.indexOf(LINE_FEED)) {
        const record = JSON.parse(rest.toString('utf8', 0, end)) as WorkRecord;
        this.#records.set(record.key, record);
        rest = rest.subarray(end + 1);
        whole += end + 1;
      }
    }
    return whole;
  }
}

/** Numbers as a record keeps them. */
export function packNumbers(numbers: Float32Array): string {
  return Buffer.from(numbers.buffer, numbers.byteOffset, numbers.byteLength).toString('base64');
}

/** The numbers of a record. */
export function unpackNumbers(text: unknown): Float32Array {
  const bytes = Buffer.from(String(text), 'base64');
  const numbers = new Float32Array(bytes.byteLength / Float32Array.BYTES_PER_ELEMENT);
  new Uint8Array(numbers.buffer).set(bytes);
  return numbers;
}
