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

/**
 * What the encoder leaves undone: equal videos become equal bytes, the index comes before the
 * pictures so that a player may start before the end of the download, and the pictures that a player
 * may seek to are listed.
 *
 * @param encoded a version-0 file of one H.264 track with its index at the end
 */
export function finishMp4(encoded: Uint8Array): Buffer {
  const mp4 = Buffer.from(encoded);
  const boxes = parseMp4Boxes(mp4);
  const mediaStart = mediaOffset(mp4);
  const movie = findMp4Box(boxes, 'moov');
  const samples = findMp4Box(boxes, 'moov/trak/mdia/minf/stbl');
  for (const path of ['moov/mvhd', 'moov/trak/tkhd', 'moov/trak/mdia/mdhd']) {
    clearTimes(findMp4Box(boxes, path));
  }
  samples.children.push(syncSamples(samples, mp4));

  const start = serialise(findMp4Box(boxes, 'ftyp'));
  const newMediaStart = start.length + serialise(movie).length + HEADER_BYTES;
  shiftChunks(samples, newMediaStart - mediaStart);
  return Buffer.concat([start, serialise(movie), serialise(findMp4Box(boxes, 'mdat'))]);
}

function mediaOffset(mp4: Uint8Array): number {
  let start = 0;
  for (const { type, payload, children } of parseMp4Boxes(mp4)) {
    if (type === 'mdat') return start + HEADER_BYTES;
    start += serialise({ type, payload, children }).length;
  }
  throw new FlexCacheError('internal', 'MP4 has no mdat box');
}

/** Version and flags take 4 bytes; creation and modification time follow with 4 bytes each. */
function clearTimes({ payload }: Mp4Box): void {
  payload.fill(0, 4, 12);
}

const H264_UNIT_TYPE_MASK = 0x1f;
const H264_IDR_UNIT = 5;
/** Version and flags, then the number of entries, then the entries. */
const TABLE_START = 8;

/** `stss`: the samples that hold an IDR picture, counted from 1. Without it every sample would claim to. */
function syncSamples(samples: Mp4Box, mp4: Buffer): Mp4Box {
  const sizes = findMp4Box([samples], 'stbl/stsz').payload;
  const count = sizes.readUInt32BE(8);
  const sync: number[] = [];
  // The encoder writes samples one after the other: chunks only group them.
  let start = findMp4Box([samples], 'stbl/stco').payload.readUInt32BE(TABLE_START);
  for (let sample = 0; sample < count; sample++) {
    const end = start + sizes.readUInt32BE(12 + sample * 4);
    for (let unit = start; unit + 4 < end; unit += 4 + mp4.readUInt32BE(unit)) {
      if ((mp4[unit + 4]! & H264_UNIT_TYPE_MASK) === H264_IDR_UNIT) {
        sync.push(sample + 1);
        break;
      }
    }
    start = end;
  }
  const payload = Buffer.alloc(TABLE_START + 4 * sync.length);
  payload.writeUInt32BE(sync.length, 4);
  for (const [index, sample] of sync.entries()) {
    payload.writeUInt32BE(sample, TABLE_START + index * 4);
  }
  return { type: 'stss', payload, children: [] };
}

function shiftChunks(samples: Mp4Box, distance: number): void {
  const { payload } = findMp4Box([samples], 'stbl/stco');
  for (let entry = TABLE_START; entry < payload.length; entry += 4) {
    payload.writeUInt32BE(payload.readUInt32BE(entry) + distance, entry);
  }
}
