/** Rows of a batch, one after the other. */
export function concatenate(parts: readonly Float32Array[]): Float32Array {
  // Copies into memory that is not set to 0 first.
  if (parts.length === 1) return parts[0]!.slice();
  const whole = new Float32Array(parts.reduce((length, part) => length + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    whole.set(part, offset);
    offset += part.length;
  }
  return whole;
}
