import { InvalidInputError } from '#core/errors.ts';

const SHOWN_CHARACTERS = 60;

/** Slips in a name: more are another name. */
const MAX_SLIPS = 2;

/**
 * Checks that names are known and that each is given once: a misspelt one would be left out without a
 * word.
 *
 * @param kind what the names are, for the error
 * @throws InvalidInputError whose field is the first wrong name; the fix is the known one that was
 * probably meant, or all of them.
 */
export function requireKnownFields(
  kind: 'field' | 'column',
  names: readonly string[],
  known: readonly string[],
): void {
  const seen = new Set<string>();
  for (const name of names) {
    const shown = name.slice(0, SHOWN_CHARACTERS);
    if (!known.includes(name)) {
      const meant = nearestField(name, known);
      throw new InvalidInputError(
        shown,
        name === '' ? `a ${kind} has no name` : `there is no ${kind} ${JSON.stringify(shown)}`,
        meant === null
          ? `leave it out: the ${kind}s are ${known.join(', ')}`
          : `write ${JSON.stringify(meant)}, or leave it out`,
      );
    }
    if (seen.has(name)) {
      throw new InvalidInputError(
        shown,
        `the ${kind} ${JSON.stringify(shown)} is given twice`,
        'leave one of them out',
      );
    }
    seen.add(name);
  }
}

/** The known name that was probably meant; null when none is near. */
function nearestField(name: string, known: readonly string[]): string | null {
  const bare = (text: string): string => text.toLowerCase().replaceAll(/[\s_-]/g, '');
  const wanted = bare(name.slice(0, SHOWN_CHARACTERS));
  const [nearest] = known
    .map((field) => ({ field, slips: slipsBetween(wanted, bare(field)) }))
    .filter(({ field, slips }) => slips <= MAX_SLIPS && slips < field.length / 2)
    .sort((one, other) => one.slips - other.slips);
  return nearest?.field ?? null;
}

/** Characters to insert, leave out, replace or swap with their neighbour (optimal string alignment). */
function slipsBetween(one: string, other: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: other.length + 1 }, (_, column) => column);
  for (let row = 1; row <= one.length; row++) {
    const next = [row];
    for (let column = 1; column <= other.length; column++) {
      const isSame = one[row - 1] === other[column - 1];
      const isSwap =
        row > 1 &&
        column > 1 &&
        one[row - 1] === other[column - 2] &&
        one[row - 2] === other[column - 1];
      next[column] = Math.min(
        last[column]! + 1,
        next[column - 1]! + 1,
        last[column - 1]! + (isSame ? 0 : 1),
        isSwap ? beforeLast[column - 2]! + 1 : Infinity,
      );
    }
    beforeLast = last;
    last = next;
  }
  return last[other.length]!;
}

const TOKEN = /"(?:[^"\\]|\\.)*"(?<colon>\s*:)?|[{}[\]]/gs;

/** The names of an object's own fields as its JSON text gives them, one given twice twice. */
export function namesInJson(text: string): string[] {
  const names: string[] = [];
  let depth = 0;
  for (const { 0: token, groups } of text.matchAll(TOKEN)) {
    if (token === '{' || token === '[') depth += 1;
    else if (token === '}' || token === ']') depth -= 1;
    else if (depth === 1 && groups!['colon'] !== undefined) {
      names.push(JSON.parse(token.slice(0, token.lastIndexOf('"') + 1)) as string);
    }
  }
  return names;
}
