import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { FlexCacheError } from '#core/errors.ts';
import type { TraceVectors } from '#simulation/traces/trace-request.ts';
import { writeOutput } from '../output-file.ts';
import type { PromptVectors } from './prompt-vectors.ts';

/** Vectors by prompt, kept between simulations. */
export type EmbeddedPrompts = Map<string, TraceVectors>;

const FORMAT = 'flexcache-embeddings/1';
const FLOAT_BYTES = 4;
const LINE_FEED = 0x0a;
const NONE = -1;

/** First line of the file. The second line lists the prompts; the vectors follow as float32. */
interface FileHeader {
  format: typeof FORMAT;
  revision: string;
  dimensions: number;
  /** Checksum of everything after the first line. */
  sha256: string;
}

/** A prompt and the indices of its vectors: whole, object, background. */
type PromptRow = [prompt: string, whole: number, object: number, background: number];

type Embedder = Pick<PromptVectors, 'revision' | 'dimensions'>;

/**
 * Reads the vectors of this embedder from a file. Returns none if the file does not exist or
 * belongs to another embedder.
 *
 * @throws FlexCacheError `state_corrupt` if the file is damaged or not an embedding file
 */
export async function readEmbeddings(path: string, embedder: Embedder): Promise<EmbeddedPrompts> {
  const content = await readFile(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return null;
    throw error;
  });
  if (content === null) return new Map();
  const headerEnd = content.indexOf(LINE_FEED);
  const header = parseHeader(path, content.subarray(0, Math.max(0, headerEnd)));
  const body = content.subarray(headerEnd + 1);
  if (sha256(body) !== header.sha256) throw corrupt(path, 'is truncated or was altered');
  if (header.revision !== embedder.revision || header.dimensions !== embedder.dimensions) {
    return new Map();
  }
  return parseBody(body, header.dimensions);
}

/** Writes the file atomically. */
export async function writeEmbeddings(
  path: string,
  { revision, dimensions }: Embedder,
  embedded: EmbeddedPrompts,
): Promise<void> {
  const numbers = new Map<Float32Array, number>();
  const numberOf = (vector: Float32Array | null): number => {
    if (vector === null) return NONE;
    const known = numbers.get(vector);
    if (known !== undefined) return known;
    numbers.set(vector, numbers.size);
    return numbers.size - 1;
  };
  const rows = Array.from(embedded, ([prompt, { whole, object, background }]): PromptRow => {
    return [prompt, numberOf(whole), numberOf(object), numberOf(background)];
  });
  const vectors = new Float32Array(numbers.size * dimensions);
  for (const [vector, number] of numbers) vectors.set(vector, number * dimensions);
  const body = Buffer.concat([
    Buffer.from(`${JSON.stringify(rows)}\n`),
    Buffer.from(vectors.buffer),
  ]);
  const header: FileHeader = { format: FORMAT, revision, dimensions, sha256: sha256(body) };
  await writeOutput(path, Buffer.concat([Buffer.from(`${JSON.stringify(header)}\n`), body]));
}

function parseHeader(path: string, bytes: Uint8Array): FileHeader {
  try {
    const header = JSON.parse(Buffer.from(bytes).toString('utf8')) as FileHeader;
    if (header.format === FORMAT) return header;
  } catch {
    // Not JSON, so not an embedding file.
  }
  throw corrupt(path, 'is not an embedding file');
}

function parseBody(body: Uint8Array, dimensions: number): EmbeddedPrompts {
  const rowsEnd = body.indexOf(LINE_FEED);
  const rows = JSON.parse(Buffer.from(body.subarray(0, rowsEnd)).toString('utf8')) as PromptRow[];
  // Copy, because the floats may not be 4-byte aligned.
  const floats = new Float32Array(Uint8Array.from(body.subarray(rowsEnd + 1)).buffer);
  const count = floats.byteLength / FLOAT_BYTES / dimensions;
  const vectors = Array.from({ length: count }, (_, index) =>
    floats.subarray(index * dimensions, (index + 1) * dimensions),
  );
  const vectorAt = (number: number): Float32Array | null =>
    number === NONE ? null : vectors[number]!;
  return new Map(
    rows.map(([prompt, whole, object, background]) => [
      prompt,
      { whole: vectors[whole]!, object: vectorAt(object), background: vectorAt(background) },
    ]),
  );
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

function corrupt(path: string, what: string): FlexCacheError {
  return new FlexCacheError('state_corrupt', `${path} ${what}`, {
    field: 'embeddings',
    fix: 'delete it, or name another file with --embeddings',
  });
}
