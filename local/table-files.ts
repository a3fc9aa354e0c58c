import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { systemErrorCode } from './file-errors.ts';

/**
 * LevelDB checks the files that it reads only in part, and late: what is damaged in them would come out as
 * any error, or as other values. The format is that of github.com/google/leveldb, doc/table_format.md.
 */

const FOOTER_BYTES = 48;
const MAGIC = Buffer.from('57fb808b247547db', 'hex');
/** After each block: how it is compressed, and a checksum of both. */
const TRAILER_BYTES = 5;
const COMPRESSION = { none: 0, snappy: 1 } as const;
const RESTART_BYTES = 4;

/** How `leveldb.sstables` lists a file: its number, its bytes and its keys. */
const LISTED = /^ (\d+):(\d+)\[/gm;
const NUMBER_DIGITS = 6;

/**
 * What is wrong with the first damaged file of those that an open database consists of; null when all
 * are sound.
 *
 * @param listed the database's property `leveldb.sstables`
 */
export async function findTableDamage(folder: string, listed: string): Promise<string | null> {
  for (const [, number, bytes] of listed.matchAll(LISTED)) {
    const path = join(folder, `${number!.padStart(NUMBER_DIGITS, '0')}.ldb`);
    const content = await readFile(path).catch((error: unknown) => {
      // A compaction has put it into another file.
      if (systemErrorCode(error) === 'ENOENT') return null;
      throw error;
    });
    const damage = content === null ? null : damageOf(content, Number(bytes));
    if (damage !== null) return `${path} ${damage}`;
  }
  return null;
}

function damageOf(content: Buffer, bytes: number): string | null {
  if (content.length !== bytes) return `has ${content.length} bytes, not ${bytes}`;
  try {
    const footer = new Reader(content, content.length - FOOTER_BYTES);
    if (!content.subarray(-MAGIC.length).equals(MAGIC)) return 'has no end';
    const metaIndex = readBlock(content, footer.handle());
    const index = readBlock(content, footer.handle());
    if (content.subarray(footer.at, -MAGIC.length).some((byte) => byte !== 0))
      return 'has another end';
    for (const block of [metaIndex, index]) {
      for (const value of valuesOf(block)) readBlock(content, new Reader(value, 0).handle(), false);
    }
    return null;
  } catch (error) {
    // Whatever cannot be read is damaged.
    return `is damaged: ${(error as Error).message}`;
  }
}

interface BlockHandle {
  offset: number;
  bytes: number;
}

class Reader {
  readonly #bytes: Buffer;
  #at: number;

  constructor(bytes: Buffer, at: number) {
    this.#bytes = bytes;
    this.#at = at;
  }

  get at(): number {
    return this.#at;
  }

  varint(): number {
    let value = 0;
    for (let factor = 1; ; factor *= 0x80) {
      const byte = this.#bytes.readUInt8(this.#at++);
      value += (byte & 0x7f) * factor;
      if (byte < 0x80) return value;
    }
  }

  handle(): BlockHandle {
    return { offset: this.varint(), bytes: this.varint() };
  }

  take(bytes: number): Buffer {
    if (this.#at + bytes > this.#bytes.length) throw new RangeError('it ends early');
    this.#at += bytes;
    return this.#bytes.subarray(this.#at - bytes, this.#at);
  }
}

/** Checks a block, and returns its content where that is wanted. */
function readBlock(file: Buffer, { offset, bytes }: BlockHandle, isWanted = true): Buffer {
  const block = new Reader(file, offset).take(bytes + TRAILER_BYTES);
  if (block.readUInt32LE(bytes + 1) !== masked(crc32c(block.subarray(0, bytes + 1)))) {
    throw new Error(`the block at ${offset} has another checksum`);
  }
  const content = block.subarray(0, bytes);
  return isWanted && block[bytes] === COMPRESSION.snappy ? uncompressSnappy(content) : content;
}

/** Values of a block's entries: shared, unshared and value bytes, then the key's rest and the value. */
function* valuesOf(block: Buffer): Generator<Buffer> {
  const restarts = block.readUInt32LE(block.length - RESTART_BYTES);
  const end = block.length - RESTART_BYTES * (restarts + 1);
  const reader = new Reader(block, 0);
  while (reader.at < end) {
    reader.varint();
    const unshared = reader.varint();
    const valueBytes = reader.varint();
    reader.take(unshared);
    yield reader.take(valueBytes);
  }
}

/** The format of github.com/google/snappy, format_description.txt. */
function uncompressSnappy(compressed: Buffer): Buffer {
  const reader = new Reader(compressed, 0);
  const output = Buffer.alloc(reader.varint());
  let length = 0;
  while (reader.at < compressed.length) {
    const tag = reader.take(1).readUInt8();
    if ((tag & 3) === 0) {
      const size = tag >> 2;
      const bytes = size < 60 ? size + 1 : reader.take(size - 59).readUIntLE(0, size - 59) + 1;
      length += reader.take(bytes).copy(output, length);
      continue;
    }
    let bytes = (tag >> 2) + 1;
    let back: number;
    if ((tag & 3) === 1) {
      bytes = ((tag >> 2) & 7) + 4;
      back = ((tag >> 5) << 8) | reader.take(1).readUInt8();
    } else {
      const width = (tag & 3) === 2 ? 2 : 4;
      back = reader.take(width).readUIntLE(0, width);
    }
    if (back === 0 || back > length) throw new RangeError('a copy from before the beginning');
    // Byte by byte: what is copied may overlap what it makes.
    for (const end = length + bytes; length < end; length++) {
      output.writeUInt8(output.readUInt8(length - back), length);
    }
  }
  return output;
}

/** CRC-32C (Castagnoli), reflected. */
const POLYNOMIAL = 0x82f63b78;
const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ POLYNOMIAL : crc >>> 1;
  return crc;
});

function crc32c(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (let at = 0; at < bytes.length; at++) {
    crc = CRC_TABLE[(crc ^ bytes[at]!) & 0xff]! ^ (crc >>> 8);
  }
  return (crc ^ 0xffffffff) >>> 0;
}

/** LevelDB stores no plain checksum: one of data that holds checksums would be weak. */
function masked(crc: number): number {
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
}
