import { createReadStream } from 'node:fs';

/**
 * How a graph begins to say where a tensor's values lie: an entry of `TensorProto.external_data` with the key
 * `location`, and the tag of its value (onnx.proto: StringStringEntryProto, key = 1, value = 2).
 */
const LOCATION = Buffer.from('\x0a\x08location\x12', 'latin1');
const MAX_NAME = 4096;
/** Of the length before a name: a varint. */
const LENGTH_BYTES = 2;
const VARINT_MORE = 0x80;
const VARINT_BITS = 7;
const PIECE_BYTES = 2 ** 20;

/**
 * Files that a graph has values of its tensors in, as it names them: relative to its own folder.
 *
 * @throws the file system's error.
 */
export async function externalDataOf(graph: string): Promise<Set<string>> {
  const names = new Set<string>();
  let unread = Buffer.alloc(0);
  for await (const piece of createReadStream(graph, { highWaterMark: PIECE_BYTES })) {
    const bytes = Buffer.concat([unread, piece as Buffer]);
    for (let at = bytes.indexOf(LOCATION); at >= 0; at = bytes.indexOf(LOCATION, at + 1)) {
      const name = readText(bytes, at + LOCATION.length);
      if (name !== null) names.add(name);
    }
    // What begins here and ends in the next piece.
    unread = bytes.subarray(-(LOCATION.length + LENGTH_BYTES + MAX_NAME));
  }
  return names;
}

/** A text with its length before it; null where it is too long or not all of it is there. */
function readText(bytes: Buffer, at: number): string | null {
  let length = 0;
  let start = at;
  for (let read = 0; read < LENGTH_BYTES; read++) {
    const byte = bytes[start++];
    if (byte === undefined) return null;
    length |= (byte & ~VARINT_MORE) << (read * VARINT_BITS);
    if ((byte & VARINT_MORE) === 0) break;
  }
  const isWhole = length <= MAX_NAME && start + length <= bytes.length;
  return isWhole ? bytes.toString('utf8', start, start + length) : null;
}
