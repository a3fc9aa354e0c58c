import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { FlexCacheError } from '#core/errors.ts';
import type { TraceVectors } from '#simulation/traces/trace-request.ts';
import { writeOutput } from '../output-file.ts';
import type { PromptVectors } from './prompt-vectors.ts';

/** Vectors by prompt, as they are kept between two simulations. */
export type EmbeddedPrompts = Map<string, TraceVectors>;

const FORMAT = 'flexcache-embeddings/1';
const FLOAT_BYTES = 4;
const LINE_FEED = 0x0a;
const NONE = -1;

/** First line of the file. Its second lists the prompts, and the vectors' float32 follow. */
interface FileHeader {
  format: typeof FORMAT;
  revision: string;
  dimensions: number;
  /** Of all that follows the first line. */
  sha256: string;
}

/** A prompt and the numbers of its vectors: whole, object, background. */
type PromptRow = [prompt: string, whole: number, object: number, background: number];

type Embedder = Pick<PromptVectors, 'revision' | 'dimensions'>;

/**
 * The prompts that a file holds vectors of by this embedder; none when there is no such file, or when
 * it is of another embedder.
 *
 * @throws FlexCacheError `state_corrupt` when it is torn, or no file of vectors at all.
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
  if (sha256(body) !== header.sha256) throw corrupt(path, 'is torn or was altered');
  if (header.revision !== embedder.revision || header.dimensions !== embedder.dimensions) {
    return new Map();
  }
  return parseBody(body, header.dimensions);
}

/** Writes the file whole or not at all. */
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
    // No JSON: not ours either.
  }
  throw corrupt(path, 'is no file of embeddings');
}

function parseBody(body: Uint8Array, dimensions: number): EmbeddedPrompts {
  const rowsEnd = body.indexOf(LINE_FEED);
  const rows = JSON.parse(Buffer.from(body.subarray(0, rowsEnd)).toString('utf8')) as PromptRow[];
  // A copy of its own, as the floats need not begin at a multiple of four.
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
    fix: 'remove it, or name another file with --embeddings',
  });
}
