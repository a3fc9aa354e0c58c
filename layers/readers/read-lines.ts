import { InvalidInputError } from '#core/errors.ts';
import { MAX_LINE_BYTES, rejectLine, tooLongLine } from './request-line.ts';
import type { RejectedLine } from './request-line.ts';

/** The bytes of a file, in pieces of any size. */
export type ByteSource = AsyncIterable<Uint8Array>;

export interface TextLine {
  line: number;
  text: string;
}

const LINE_FEED = 0x0a;
const CARRIAGE_RETURN = 0x0d;
const BYTE_ORDER_MARK = Buffer.from([0xef, 0xbb, 0xbf]);

/**
 * Lines of a UTF-8 stream, in order, holding no more than one of them. A line that is too long or
 * not UTF-8 is handed out as rejected, and reading goes on behind it.
 */
export async function* readLines(source: ByteSource): AsyncGenerator<TextLine | RejectedLine> {
  let line = 0;
  let pieces: Buffer[] = [];
  let bytes = 0;

  const take = (piece: Buffer): void => {
    bytes += piece.length;
    const kept = bytes - piece.length;
    if (kept < MAX_LINE_BYTES) pieces.push(piece.subarray(0, MAX_LINE_BYTES - kept));
  };
  const finish = (): TextLine | RejectedLine => {
    line += 1;
    const finished = decode(line, Buffer.concat(pieces), bytes);
    pieces = [];
    bytes = 0;
    return finished;
  };

  for await (const { buffer, byteOffset, byteLength } of source) {
    const chunk = Buffer.from(buffer, byteOffset, byteLength);
    let start = 0;
    for (let end = chunk.indexOf(LINE_FEED); end !== -1; end = chunk.indexOf(LINE_FEED, start)) {
      take(chunk.subarray(start, end));
      yield finish();
      start = end + 1;
    }
    take(chunk.subarray(start));
  }
  if (bytes > 0) yield finish();
}

function decode(line: number, raw: Buffer, bytes: number): TextLine | RejectedLine {
  if (bytes > MAX_LINE_BYTES) return tooLongLine(line, raw.toString('utf8'));
  let body = raw;
  if (line === 1 && body.indexOf(BYTE_ORDER_MARK) === 0) body = body.subarray(3);
  if (body.at(-1) === CARRIAGE_RETURN) body = body.subarray(0, -1);
  try {
    return { line, text: new TextDecoder('utf-8', { fatal: true }).decode(body) };
  } catch {
    return rejectLine(
      line,
      body.toString('utf8'),
      new InvalidInputError('prompt', 'the line is not UTF-8 text', 'save the file as UTF-8'),
    );
  }
}
