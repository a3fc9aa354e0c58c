/** Measured, or made up anew by each run, or never changed: nothing depends on them. */
const VARYING: ReadonlySet<string> = new Set(['usage', 'seconds', 'vectors', 'ConsumedCapacity']);

/** Items of the table are replaced, never changed. */
const known = new WeakMap<object, string>();

/** Text that is equal for equal values, without what varies from run to run. */
export function canonical(value: unknown): string {
  if (typeof value !== 'object' || value === null) return String(value);
  const before = known.get(value);
  if (before !== undefined) return before;
  const text = read(value);
  known.set(value, text);
  return text;
}

function read(value: object): string {
  if (value instanceof Uint8Array) return `${value.byteLength} bytes`;
  if (Array.isArray(value)) return `[${value.map(canonical).join()}]`;
  let text = '{';
  for (const [name, part] of Object.entries(value)) {
    if (!VARYING.has(name)) text += `${name}:${canonical(part)},`;
  }
  return `${text}}`;
}

/** Two 32-bit FNV-1a hashes from different bases (isthe.com/chongo/tech/comp/fnv). */
export function hashOf(text: string): string {
  let one = 0x811c9dc5;
  let other = 0x9747b28c;
  for (let position = 0; position < text.length; position++) {
    const code = text.charCodeAt(position);
    one = Math.imul(one ^ code, 0x01000193);
    other = Math.imul(other ^ code, 0x85ebca6b);
    other ^= other >>> 13;
  }
  return (one >>> 0).toString(36) + (other >>> 0).toString(36);
}
