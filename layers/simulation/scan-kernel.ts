/**
 * The innermost loop of the simulator, in WebAssembly for its 128-bit arithmetic: five times as fast as
 * the same loop in JavaScript. The module is put together below from its instructions; in C it is
 *
 *     int scan(float *query, float *heads, float *tails, int count, int headBytes,
 *              float tail, float bound, int *found) {
 *       for (int row = 0; row < count; row++)
 *         if (dot(query, heads + row * head, head) + tail * tails[row] >= bound) *found++ = row;
 *       return how many were found;
 *     }
 *
 * with addresses in bytes, and heads of a multiple of 8 elements.
 */
export type Scan = (
  query: number,
  heads: number,
  tails: number,
  count: number,
  headBytes: number,
  tail: number,
  bound: number,
  found: number,
) => number;

/** The used part of the global of that name, which Node's types do not describe. */
declare const WebAssembly: {
  Module: new (bytes: Uint8Array) => object;
  Instance: new (
    module: object,
    imports: { env: { memory: KernelMemory } },
  ) => { exports: { scan: Scan } };
  Memory: new (size: { initial: number }) => KernelMemory;
};

/** Its buffer is replaced when it grows. */
export interface KernelMemory {
  readonly buffer: ArrayBuffer;
  grow(pages: number): number;
}

export const PAGE_BYTES = 65_536;

const [I32, F32, V128] = [0x7f, 0x7d, 0x7b];

const PARAMETERS = [I32, I32, I32, I32, I32, F32, F32, I32];
const [QUERY, HEADS, TAILS, COUNT, HEAD_BYTES, TAIL, BOUND, FOUND] = [0, 1, 2, 3, 4, 5, 6, 7];
const [ROW, OFFSET, BEGIN, FIRST, SECOND] = [8, 9, 10, 11, 12];

/** Flattens instructions and their operands. */
const code = (...parts: (number | number[])[]): number[] => parts.flat();

const get = (local: number): number[] => [0x20, local];
const set = (local: number): number[] => [0x21, local];
const tee = (local: number): number[] => [0x22, local];
const i32 = (value: number): number[] => [0x41, value];
const simd = (instruction: number): number[] => code(0xfd, unsigned(instruction));
const lane = (index: number): number[] => code(simd(0x1f), index);
const [ALIGN_4, ALIGN_16] = [2, 4];
const loadV128 = (offset: number): number[] => code(simd(0x00), ALIGN_16, offset);
const LOAD_F32 = [0x2a, ALIGN_4, 0];
const STORE_I32 = [0x36, ALIGN_4, 0];
const [I32_IS_0, I32_LESS, I32_ADD, I32_SUB, I32_SHIFT_RIGHT] = [0x45, 0x49, 0x6a, 0x6b, 0x76];
const [F32_ADD, F32_MULTIPLY, F32_AT_LEAST] = [0x92, 0x94, 0x60];
const [V_ADD, V_MULTIPLY] = [simd(0xe4), simd(0xe6)];
const ZERO_V128 = code(
  simd(0x0c),
  Array.from({ length: 16 }, () => 0),
);
const [BLOCK, LOOP, IF, END, NOTHING] = [0x02, 0x03, 0x04, 0x0b, 0x40];
/** Leaves a block, or jumps to the beginning of a loop; 0 is the innermost. */
const branchIf = (depth: number): number[] => [0x0d, depth];

const advance = (local: number, bytes: number): number[] =>
  code(get(local), i32(bytes), I32_ADD, set(local));

const accumulate = (sum: number, offset: number): number[] =>
  code(
    get(sum),
    code(get(QUERY), get(OFFSET), I32_ADD, loadV128(offset)),
    code(get(HEADS), loadV128(offset)),
    code(V_MULTIPLY, V_ADD, set(sum)),
  );

const EIGHT_FLOATS = 32;

const DOT = code(
  code(ZERO_V128, tee(FIRST), set(SECOND), i32(0), set(OFFSET)),
  code(LOOP, NOTHING),
  code(accumulate(FIRST, 0), accumulate(SECOND, 16), advance(HEADS, EIGHT_FLOATS)),
  code(get(OFFSET), i32(EIGHT_FLOATS), I32_ADD, tee(OFFSET)),
  code(get(HEAD_BYTES), I32_LESS, branchIf(0), END),
  code(get(FIRST), get(SECOND), V_ADD, tee(FIRST), lane(0)),
  [1, 2, 3].flatMap((index) => code(get(FIRST), lane(index), F32_ADD)),
);

const BODY = code(
  code(get(FOUND), set(BEGIN)),
  code(BLOCK, NOTHING, get(COUNT), I32_IS_0, branchIf(0), LOOP, NOTHING),
  DOT,
  code(get(TAIL), get(TAILS), LOAD_F32, F32_MULTIPLY, F32_ADD, get(BOUND), F32_AT_LEAST),
  code(IF, NOTHING, get(FOUND), get(ROW), STORE_I32, advance(FOUND, 4), END),
  advance(TAILS, 4),
  code(get(ROW), i32(1), I32_ADD, tee(ROW), get(COUNT), I32_LESS, branchIf(0)),
  code(END, END, get(FOUND), get(BEGIN), I32_SUB, i32(2), I32_SHIFT_RIGHT, END),
);

/** Three more integers and two vectors of four floats. */
const LOCALS = [2, 3, I32, 2, V128];

const MODULE = new WebAssembly.Module(
  Uint8Array.from(
    code(
      [0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
      section(1, code(1, 0x60, counted(PARAMETERS), 1, I32)),
      section(2, code(1, name('env'), name('memory'), 0x02, 0x00, 1)),
      section(3, [1, 0]),
      section(7, code(1, name('scan'), 0x00, 0)),
      section(10, code(1, counted(code(LOCALS, BODY)))),
    ),
  ),
);

/** Creates a memory of one page and the loop over it. */
export function newKernel(): { memory: KernelMemory; scan: Scan } {
  const memory = new WebAssembly.Memory({ initial: 1 });
  const { scan } = new WebAssembly.Instance(MODULE, { env: { memory } }).exports;
  return { memory, scan };
}

function section(id: number, content: number[]): number[] {
  return [id, ...counted(content)];
}

function counted(content: number[]): number[] {
  return [...unsigned(content.length), ...content];
}

function name(text: string): number[] {
  return counted([...Buffer.from(text)]);
}

/** Encodes a number as LEB128, as WebAssembly does. */
function unsigned(value: number): number[] {
  return value < 0x80 ? [value] : [0x80 | (value & 0x7f), ...unsigned(value >>> 7)];
}
