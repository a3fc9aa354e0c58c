import { FlexCacheError } from '#core/errors.ts';

/** A box of an ISO base media file (ISO/IEC 14496-12): a container of boxes, or a payload. */
export interface Mp4Box {
  /** Four characters, e.g. `moov`. */
  type: string;
  /** Everything after the box's header; empty for a container. */
  payload: Buffer;
  children: Mp4Box[];
}

const HEADER_BYTES = 8;
const CONTAINERS: ReadonlySet<string> = new Set(['moov', 'trak', 'mdia', 'minf', 'stbl']);

/** Boxes of a file or of a container's content. @throws FlexCacheError when a box is torn. */
export function parseMp4Boxes(content: Uint8Array): Mp4Box[] {
  const bytes = Buffer.from(content.buffer, content.byteOffset, content.byteLength);
  const boxes: Mp4Box[] = [];
  for (let start = 0; start < bytes.length;) {
    const size = start + HEADER_BYTES <= bytes.length ? bytes.readUInt32BE(start) : 0;
    if (size < HEADER_BYTES || start + size > bytes.length) {
      throw new FlexCacheError('internal', `MP4 box at byte ${start} is torn`);
    }
    const type = bytes.toString('latin1', start + 4, start + HEADER_BYTES);
    const payload = bytes.subarray(start + HEADER_BYTES, start + size);
    boxes.push(
      CONTAINERS.has(type)
        ? { type, payload: Buffer.alloc(0), children: parseMp4Boxes(payload) }
        : { type, payload, children: [] },
    );
    start += size;
  }
  return boxes;
}

/** The box at a path such as `moov/trak/mdia`. @throws FlexCacheError when it is not there. */
export function findMp4Box(boxes: readonly Mp4Box[], path: string): Mp4Box {
  const [type, ...rest] = path.split('/');
  const box = boxes.find((candidate) => candidate.type === type);
  if (box === undefined) throw new FlexCacheError('internal', `MP4 has no ${type} box`);
  return rest.length === 0 ? box : findMp4Box(box.children, rest.join('/'));
}

function serialise({ type, payload, children }: Mp4Box): Buffer {
  const content = Buffer.concat([payload, ...children.map(serialise)]);
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeUInt32BE(HEADER_BYTES + content.length);
  header.write(type, 4, 'latin1');
  return Buffer.concat([header, content]);
}

/** What the files of one encoder and one size say of their samples. */
interface Samples {
  /** Of each sample, in bytes. */
  sizes: number[];
  /** Of each sample, in units of the track's clock. */
  durations: number[];
  /** The samples themselves, one after the other. */
  content: Buffer;
  /** `stsd`: how to decode them. */
  description: Buffer;
}

const SAMPLE_TABLE = 'moov/trak/mdia/minf/stbl';

/**
 * One file of consecutive groups of frames that were encoded by themselves, each a version-0 file of one
 * H.264 track with the same settings. Does what the encoder leaves undone: equal videos become equal
 * bytes, the index comes before the pictures so that a player may start before the end of the
 * download, and the pictures that a player may seek to are listed.
 *
 * @throws FlexCacheError `internal` when the groups cannot be decoded as one track.
 */
export function joinMp4(groups: readonly Uint8Array[]): Buffer {
  const files = groups.map((group) => parseMp4Boxes(Buffer.from(group)));
  const movie = findMp4Box(files[0] ?? [], 'moov');
  const parts = files.map((boxes, index) => readSamples(boxes, groups[index]!));
  if (parts.some(({ description }) => !description.equals(parts[0]!.description))) {
    throw new FlexCacheError('internal', 'the groups of a video were encoded differently');
  }
  const sizes = parts.flatMap((part) => part.sizes);
  const content = Buffer.concat(parts.map((part) => part.content));

  // Version and flags take 4 bytes; creation and modification time follow with 4 bytes each.
  for (const [path, durationAt] of [
    ['mvhd', 16],
    ['trak/tkhd', 20],
    ['trak/mdia/mdhd', 16],
  ] as const) {
    const payloads = files.map((boxes) => findMp4Box(boxes, `moov/${path}`).payload);
    const total = payloads.reduce((sum, payload) => sum + payload.readUInt32BE(durationAt), 0);
    payloads[0]!.fill(0, 4, 12).writeUInt32BE(total, durationAt);
  }
  const table = findMp4Box([movie], SAMPLE_TABLE);
  const chunkOffset = tableBox('stco', [[0]]);
  table.children = [
    findMp4Box([table], 'stbl/stsd'),
    tableBox('stts', runLengths(parts.flatMap((part) => part.durations))),
    // All samples are one chunk, of the first description.
    tableBox('stsc', [[1, sizes.length, 1]]),
    chunkOffset,
    sampleSizes(sizes),
    tableBox('stss', seekableSamples(sizes, content)),
  ];

  const start = serialise(findMp4Box(files[0]!, 'ftyp'));
  const contentStart = start.length + serialise(movie).length + HEADER_BYTES;
  chunkOffset.payload.writeUInt32BE(contentStart, TABLE_START);
  const media: Mp4Box = { type: 'mdat', payload: content, children: [] };
  return Buffer.concat([start, serialise(movie), serialise(media)]);
}

/** Version and flags, then the number of entries, then the entries. */
const TABLE_START = 8;

function readSamples(boxes: readonly Mp4Box[], mp4: Uint8Array): Samples {
  const table = (type: string): Buffer => findMp4Box(boxes, `${SAMPLE_TABLE}/${type}`).payload;
  const sampleSize = table('stsz');
  // Not 0: all samples have this size, and no table follows.
  const commonSize = sampleSize.readUInt32BE(4);
  const sizes = Array.from({ length: sampleSize.readUInt32BE(8) }, (_, sample) =>
    commonSize === 0 ? sampleSize.readUInt32BE(12 + 4 * sample) : commonSize,
  );
  const times = table('stts');
  const durations: number[] = [];
  for (let entry = TABLE_START; entry < times.length; entry += 8) {
    const duration = times.readUInt32BE(entry + 4);
    for (let count = times.readUInt32BE(entry); count > 0; count--) durations.push(duration);
  }
  // The encoder writes samples one after the other: chunks only group them.
  const start = table('stco').readUInt32BE(TABLE_START);
  const end = start + sizes.reduce((sum, size) => sum + size, 0);
  return {
    sizes,
    durations,
    content: Buffer.from(mp4.subarray(start, end)),
    description: table('stsd'),
  };
}

/** How often a value is repeated, and the value. */
function runLengths(values: readonly number[]): number[][] {
  const runs: [count: number, value: number][] = [];
  for (const value of values) {
    const last = runs.at(-1);
    if (last?.[1] === value) last[0]++;
    else runs.push([1, value]);
  }
  return runs;
}

function tableBox(type: string, entries: readonly (readonly number[])[]): Mp4Box {
  return box(type, [0, entries.length, ...entries.flat()]);
}

/** `stsz`: 0 says that every sample has a size of its own. */
function sampleSizes(sizes: readonly number[]): Mp4Box {
  return box('stsz', [0, 0, sizes.length, ...sizes]);
}

function box(type: string, words: readonly number[]): Mp4Box {
  const payload = Buffer.alloc(4 * words.length);
  for (const [index, word] of words.entries()) payload.writeUInt32BE(word, 4 * index);
  return { type, payload, children: [] };
}

const H264_UNIT_TYPE_MASK = 0x1f;
const H264_IDR_UNIT = 5;

/** `stss`: the samples that hold an IDR picture, counted from 1. Without it every sample would claim to. */
function seekableSamples(sizes: readonly number[], content: Buffer): number[][] {
  const seekable: number[][] = [];
  let start = 0;
  for (const [sample, size] of sizes.entries()) {
    const end = start + size;
    for (let unit = start; unit + 4 < end; unit += 4 + content.readUInt32BE(unit)) {
      if ((content[unit + 4]! & H264_UNIT_TYPE_MASK) === H264_IDR_UNIT) {
        seekable.push([sample + 1]);
        break;
      }
    }
    start = end;
  }
  return seekable;
}
