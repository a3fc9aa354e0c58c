import type { Tensor } from '#core/latents/tensor.ts';

/**
 * Writes small ONNX files for tests: the few fields of onnx.proto that such graphs need.
 */

export interface OnnxValue {
  name: string;
  type?: 'float32' | 'int64';
  /** An extent that is a text is dynamic. */
  shape: readonly (number | string)[];
}

export interface OnnxNode {
  operator: string;
  inputs: readonly string[];
  outputs: readonly string[];
  /** Integers or lists of them. */
  attributes?: Readonly<Record<string, number | readonly number[]>>;
}

export interface OnnxGraph {
  inputs: readonly OnnxValue[];
  outputs: readonly OnnxValue[];
  nodes: readonly OnnxNode[];
  /** float32 tensors, whose bytes lie in other files. */
  external?: readonly { name: string; shape: readonly number[]; location: string }[];
  /** int64 tensors of one axis. */
  constants?: Readonly<Record<string, readonly number[]>>;
  /** float32 tensors. */
  weights?: Readonly<Record<string, Tensor>>;
}

const IR_VERSION = 10;
const OPSET = 21;
const TYPES = { float32: 1, int64: 7 } as const;
const ATTRIBUTE_INT = 2;
const ATTRIBUTE_INTS = 7;
const EXTERNAL = 1;

/** The bytes of a model with this graph. */
export function onnxFile({
  inputs,
  outputs,
  nodes,
  external = [],
  constants = {},
  weights = {},
}: OnnxGraph): Buffer {
  const graph = Buffer.concat([
    ...nodes.map((node) => message(1, nodeOf(node))),
    message(2, Buffer.from('g')),
    ...external.map(({ name, shape, location }) =>
      message(
        5,
        Buffer.concat([
          ...shape.map((extent) => integer(1, extent)),
          integer(2, TYPES.float32),
          text(8, name),
          message(13, Buffer.concat([text(1, 'location'), text(2, location)])),
          integer(14, EXTERNAL),
        ]),
      ),
    ),
    ...Object.entries(constants).map(([name, values]) =>
      message(
        5,
        Buffer.concat([
          integer(1, values.length),
          integer(2, TYPES.int64),
          ...values.map((value) => integer(7, value)),
          text(8, name),
        ]),
      ),
    ),
    ...Object.entries(weights).map(([name, { data, shape }]) =>
      message(
        5,
        Buffer.concat([
          ...shape.map((extent) => integer(1, extent)),
          integer(2, TYPES.float32),
          text(8, name),
          message(9, Buffer.from(data.buffer, data.byteOffset, data.byteLength)),
        ]),
      ),
    ),
    ...inputs.map((value) => message(11, valueOf(value))),
    ...outputs.map((value) => message(12, valueOf(value))),
  ]);
  return Buffer.concat([integer(1, IR_VERSION), message(7, graph), message(8, integer(2, OPSET))]);
}

function nodeOf({ operator, inputs, outputs, attributes = {} }: OnnxNode): Buffer {
  return Buffer.concat([
    ...inputs.map((name) => text(1, name)),
    ...outputs.map((name) => text(2, name)),
    text(4, operator),
    ...Object.entries(attributes).map(([name, value]) =>
      message(
        5,
        Buffer.concat(
          typeof value === 'number'
            ? [text(1, name), integer(3, value), integer(20, ATTRIBUTE_INT)]
            : [
                text(1, name),
                ...value.map((each) => integer(8, each)),
                integer(20, ATTRIBUTE_INTS),
              ],
        ),
      ),
    ),
  ]);
}

function valueOf({ name, type = 'float32', shape }: OnnxValue): Buffer {
  const extents = shape.map((extent) =>
    message(1, typeof extent === 'number' ? integer(1, extent) : text(2, extent)),
  );
  const tensor = Buffer.concat([integer(1, TYPES[type]), message(2, Buffer.concat(extents))]);
  return Buffer.concat([text(1, name), message(2, message(1, tensor))]);
}

function message(field: number, body: Buffer): Buffer {
  return Buffer.concat([varint((field << 3) | 2), varint(body.length), body]);
}

function text(field: number, value: string): Buffer {
  return message(field, Buffer.from(value));
}

function integer(field: number, value: number): Buffer {
  return Buffer.concat([varint(field << 3), varint(value)]);
}

/** Of a whole number that is not negative. */
function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes.push((rest % 0x80) | 0x80);
  return Buffer.from([...bytes, rest]);
}
