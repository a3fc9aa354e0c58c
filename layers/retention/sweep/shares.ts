/** A part of all ids: those whose hash leaves `remainder` when divided by `divisor`. */
export interface Share {
  remainder: number;
  divisor: number;
}

export const EVERYTHING: Share = { remainder: 0, divisor: 1 };

/** The two halves of a share. */
export function split({ remainder, divisor }: Share): [Share, Share] {
  return [
    { remainder, divisor: 2 * divisor },
    { remainder: remainder + divisor, divisor: 2 * divisor },
  ];
}

/** FNV-1a spreads ids evenly (isthe.com/chongo/tech/comp/fnv). */
export function isIn({ remainder, divisor }: Share, id: string): boolean {
  let hash = 0x811c9dc5;
  for (let position = 0; position < id.length; position++) {
    hash = Math.imul(hash ^ id.charCodeAt(position), 0x01000193);
  }
  return (hash >>> 0) % divisor === remainder;
}
