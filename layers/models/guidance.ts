/**
 * Classifier-free guidance: `free + scale * (asked - free)`.
 *
 * @param rows `[2n, ...]`: of the first half some follow a prompt; those of the second half, in the same order, do not
 * @param into takes the `n` guided rows
 */
export function guide(rows: Float32Array, scale: number, into: Float32Array): void {
  const count = into.length;
  for (let index = 0; index < count; index++) {
    const free = rows[count + index]!;
    into[index] = free + scale * (rows[index]! - free);
  }
}
