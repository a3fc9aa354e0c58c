import { createReadStream } from 'node:fs';
import { mkdir, open, readdir, truncate, type FileHandle } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { asFileError } from '../output-file.ts';

/** One finished piece of work. Arrays are base64 text of little-endian float32. */
export interface WorkRecord {
  key: string;
  [field: string]: unknown;
}

const LINE_FEED = 0x0a;
const ENDING = '.jsonl';

/**
 * A file of finished work, one JSON line each, so that an interrupted run can resume. An incomplete
 * last line is removed. Files of the same work in the same folder, written by other processes, are
 * read too.
 */
export class WorkFile {
  readonly #records = new Map<string, WorkRecord>();
  readonly #path: string;
  #handle: FileHandle | null = null;

  private constructor(path: string) {
    this.#path = path;
  }

  /**
   * Opens the work file.
   *
   * @param name name of the work, without an extension
   * @param share share of the work done here, part of the file name; all of it if omitted
   * @throws FlexCacheError `disk_full` or `permission_denied`
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

  /** Writes records to disk before it returns; existing keys stay unchanged. */
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
   * Loads a file in chunks, because it may exceed the maximum string length.
   *
   * @returns bytes of its complete lines
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

/** Encodes numbers for a record. */
export function packNumbers(numbers: Float32Array): string {
  return Buffer.from(numbers.buffer, numbers.byteOffset, numbers.byteLength).toString('base64');
}

/** Decodes the numbers of a record. */
export function unpackNumbers(text: unknown): Float32Array {
  const bytes = Buffer.from(String(text), 'base64');
  const numbers = new Float32Array(bytes.byteLength / Float32Array.BYTES_PER_ELEMENT);
  new Uint8Array(numbers.buffer).set(bytes);
  return numbers;
}
