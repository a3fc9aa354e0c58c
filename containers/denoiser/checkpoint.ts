import { createHash } from 'node:crypto';
import { FlexCacheError } from '#core/errors.ts';
import type { GenerationRequest, Plan } from '#core/generation.ts';
import { hashFields } from '#core/hash.ts';
import { elementCount, type Tensor } from '#core/latents/tensor.ts';
import type { SamplerState } from '#models/sample-run.ts';

/** A generation between two steps, to the last bit, and whose work is in it. */
export interface Checkpoint extends SamplerState {
  /** Runs of the workers that did them, in order, as their usage records name them. */
  runs: readonly string[];
}

/** What a checkpoint belongs to; it is of no use to anything else. */
export interface CheckpointSubject {
  /** 64 hexadecimal digits. */
  compatibilityKey: string;
  request: Pick<GenerationRequest, 'videoId' | 'prompt'>;
  /** The plan that is really run: after donors that could not be read were dropped. */
  plan: Plan;
  /** Whether objects are found in what all evaluations attended to: a checkpoint without that is of no use. */
  mapsObject?: boolean;
}

/*
 * offset  bytes  little-endian
 *      0      4  "FCKP"
 *      4      4  format version, uint32: 4 with an object map, else 3
 *      8     32  compatibility key
 *     40     32  digest of the request and its plan
 *     72      4  steps done, uint32
 *     76      4  bytes of the runs' names, r, uint32
 *     80      r  the runs' names, ASCII, a comma between two
 *   80+r      4  what follows the latent, uint32, a sum: 1 the solver's memory, 2 the mask, 4 the object map
 *   84+r      8  what the steps took, in evaluations of all tokens, float64
 *   92+r    4*n  the latent, float32
 *           4*n  the solver's memory, float32, of the latent's shape
 *             m  where the object is, a byte of 0 or 1 for each position of the latent
 *           4*m  the object map, float32, for each position of the latent
 *            32  sha256 of all before
 */
const MAGIC = Buffer.from('FCKP', 'latin1');
const FORMAT_VERSION = 3;
const MAP_FORMAT_VERSION = 4;
const COMPATIBILITY_OFFSET = 8;
const SUBJECT_OFFSET = 40;
const STEPS_OFFSET = 72;
const RUNS_LENGTH_OFFSET = 76;
const RUNS_OFFSET = 80;
const CONTENTS_BYTES = 12;
const EQUIVALENTS_OFFSET = 4;
const DIGEST_BYTES = 32;
const HAS_MEMORY = 1;
const HAS_MASK = 2;
const HAS_MAP = 4;

/** Each delivery of a message is a run at most, and few are allowed. */
const MAX_RUNS_BYTES = 4096;
const RUNS = /^[\w-]+(,[\w-]+)*$/;

/** The most bytes that a checkpoint of latents of this shape has. */
export function mostCheckpointBytes(shape: readonly number[]): number {
  const positions = shape.slice(1);
  const tensors = 2 * floatBytes(shape) + elementCount(positions) + floatBytes(positions);
  return RUNS_OFFSET + MAX_RUNS_BYTES + CONTENTS_BYTES + tensors + DIGEST_BYTES;
}

/** The checkpoint as bytes. */
export function encodeCheckpoint(subject: CheckpointSubject, checkpoint: Checkpoint): Uint8Array {
  const { latent, memory, inside, objectMap } = checkpoint;
  const runs = Buffer.from(checkpoint.runs.join(), 'latin1');
  const header = Buffer.alloc(RUNS_OFFSET);
  MAGIC.copy(header);
  const version = objectMap === undefined ? FORMAT_VERSION : MAP_FORMAT_VERSION;
  header.writeUInt32LE(version, MAGIC.length);
  header.write(subject.compatibilityKey, COMPATIBILITY_OFFSET, 'hex');
  header.write(subjectDigest(subject), SUBJECT_OFFSET, 'hex');
  header.writeUInt32LE(checkpoint.stepsDone, STEPS_OFFSET);
  header.writeUInt32LE(runs.length, RUNS_LENGTH_OFFSET);
  const contents = Buffer.alloc(CONTENTS_BYTES);
  contents.writeUInt32LE(
    (memory === null ? 0 : HAS_MEMORY) |
      (inside === null ? 0 : HAS_MASK) |
      (objectMap === undefined ? 0 : HAS_MAP),
  );
  contents.writeDoubleLE(checkpoint.equivalents, EQUIVALENTS_OFFSET);
  const body = Buffer.concat([
    header,
    runs,
    contents,
    encodeFloats(latent),
    ...(memory === null ? [] : [encodeFloats(memory)]),
    ...(inside === null ? [] : [Uint8Array.from(inside.data)]),
    ...(objectMap === undefined ? [] : [encodeFloats(objectMap)]),
  ]);
  return Buffer.concat([body, sha256(body)]);
}

/**
 * @param shape of the package's latents
 * @throws FlexCacheError `latent_corrupt` when it is torn or altered, `latent_foreign` when it is of
 * another format, model, request or plan.
 */
export function decodeCheckpoint(
  encoded: Uint8Array,
  subject: CheckpointSubject,
  shape: readonly number[],
): Checkpoint {
  const bytes = Buffer.from(encoded.buffer, encoded.byteOffset, encoded.byteLength);
  if (bytes.length < RUNS_OFFSET + DIGEST_BYTES) {
    throw corrupt(`it has ${bytes.length} bytes`);
  }
  if (!bytes.subarray(0, MAGIC.length).equals(MAGIC)) throw foreign('it is no checkpoint');
  const version = bytes.readUInt32LE(MAGIC.length);
  if (version !== FORMAT_VERSION && version !== MAP_FORMAT_VERSION) {
    throw foreign(`its format is ${version}, not ${FORMAT_VERSION} or ${MAP_FORMAT_VERSION}`);
  }
  const body = bytes.subarray(0, -DIGEST_BYTES);
  if (!sha256(body).equals(bytes.subarray(-DIGEST_BYTES))) throw corrupt('its sha256 differs');
  const hex = (offset: number) => bytes.toString('hex', offset, offset + DIGEST_BYTES);
  if (hex(COMPATIBILITY_OFFSET) !== subject.compatibilityKey) throw foreign('its model is another');
  if (hex(SUBJECT_OFFSET) !== subjectDigest(subject)) throw foreign('its plan is another');

  const runsBytes = bytes.readUInt32LE(RUNS_LENGTH_OFFSET);
  if (runsBytes > MAX_RUNS_BYTES) throw foreign('it names too many runs');
  const contentsOffset = RUNS_OFFSET + runsBytes;
  const runs = body.toString('latin1', RUNS_OFFSET, Math.min(contentsOffset, body.length));
  if (!RUNS.test(runs)) throw foreign('it names no runs');
  if (body.length < contentsOffset + CONTENTS_BYTES) throw foreign('it has no latent');
  const contents = bytes.readUInt32LE(contentsOffset);
  const [hasMemory, hasMask] = [(contents & HAS_MEMORY) !== 0, (contents & HAS_MASK) !== 0];
  const hasMap = (contents & HAS_MAP) !== 0;
  if (hasMap !== (subject.mapsObject ?? false)) {
    throw foreign(`its objects are ${hasMap ? '' : 'not '}found by attention`);
  }
  const maskShape = shape.slice(1);
  const latentOffset = contentsOffset + CONTENTS_BYTES;
  const memoryOffset = latentOffset + floatBytes(shape);
  const maskOffset = memoryOffset + (hasMemory ? floatBytes(shape) : 0);
  const mapOffset = maskOffset + (hasMask ? elementCount(maskShape) : 0);
  if (body.length !== mapOffset + (hasMap ? floatBytes(maskShape) : 0)) {
    throw foreign(`its latent is not of shape [${shape.join(', ')}]`);
  }
  const stepsDone = bytes.readUInt32LE(STEPS_OFFSET);
  if (stepsDone > subject.plan.steps) throw foreign(`${stepsDone} steps are more than planned`);
  return {
    latent: decodeFloats(body, latentOffset, shape),
    stepsDone,
    equivalents: bytes.readDoubleLE(contentsOffset + EQUIVALENTS_OFFSET),
    memory: hasMemory ? decodeFloats(body, memoryOffset, shape) : null,
    inside: hasMask
      ? { data: Float32Array.from(body.subarray(maskOffset, mapOffset)), shape: maskShape }
      : null,
    ...(hasMap && { objectMap: decodeFloats(body, mapOffset, maskShape) }),
    runs: runs.split(','),
  };
}

function floatBytes(shape: readonly number[]): number {
  return elementCount(shape) * Float32Array.BYTES_PER_ELEMENT;
}

function encodeFloats({ data }: Tensor): Buffer {
  const bytes = Buffer.alloc(data.length * Float32Array.BYTES_PER_ELEMENT);
  for (const [index, value] of data.entries()) bytes.writeFloatLE(value, 4 * index);
  return bytes;
}

function decodeFloats(bytes: Buffer, offset: number, shape: readonly number[]): Tensor {
  const data = new Float32Array(elementCount(shape));
  for (let index = 0; index < data.length; index++) {
    data[index] = bytes.readFloatLE(offset + 4 * index);
  }
  return { data, shape };
}

/** Everything that decides which numbers the steps run on. */
function subjectDigest({ request, plan }: CheckpointSubject): string {
  return hashFields([
    'checkpoint',
    request.videoId,
    request.prompt,
    plan.seed,
    plan.hit,
    plan.startTime,
    plan.steps,
    plan.solver,
    plan.anchor,
    ...plan.donors.flatMap(({ entryId, part, latentKey }) => [entryId, part, latentKey]),
  ]);
}

function sha256(bytes: Uint8Array): Buffer {
  return createHash('sha256').update(bytes).digest();
}

const FIX = 'nothing: the video is made from the beginning';

function corrupt(found: string): FlexCacheError {
  return new FlexCacheError('latent_corrupt', `the checkpoint is damaged: ${found}`, { fix: FIX });
}

function foreign(found: string): FlexCacheError {
  return new FlexCacheError('latent_foreign', `the checkpoint is of something else: ${found}`, {
    fix: FIX,
  });
}
