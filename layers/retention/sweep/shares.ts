/** A share of all ids: those whose hash modulo `divisor` is `remainder`. */
export interface Share {
  remainder: number;
  divisor: number;
}

export const EVERYTHING: Share = { remainder: 0, divisor: 1 };

/** Splits a share into two halves. */
export function split({ remainder, divisor }: Share): [Share, Share] {
  return [
    { remainder, divisor: 2 * divisor },
    { remainder: remainder + divisor, divisor: 2 * divisor },
  ];
}

/** Whether an id is in a share, by its FNV-1a hash (isthe.com/chongo/tech/comp/fnv). */
export function isIn({ remainder, divisor }: Share, id: string): boolean {
  let hash = 0x811c9dc5;
  for (let position = 0; position < id.length; position++) {
    hash = Math.imul(hash ^ id.charCodeAt(position), 0x01000193);
  }
  return (hash >>> 0) % divisor === remainder;
}
