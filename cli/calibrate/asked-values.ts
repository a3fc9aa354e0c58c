import { WORLD_PHRASES } from '#simulation/traces/world-vocabulary.ts';
import { namedValues, type JudgedAttribute } from '#core/planning/shown-attributes.ts';

/** For each attribute of the judge, which of its values a prompt names; null where it names none, or two. */
export type AskedValues = readonly (number | null)[];

/** What a prompt names of what a judge tells. */
export function askedValues(attributes: readonly JudgedAttribute[], prompt: string): AskedValues {
  return namedValues(attributes, prompt).map((named, index) =>
    named.length === 1 ? attributes[index]!.values.indexOf(named[0]!) : null,
  );
}

/** Whether a judge tells what the demo world's prompts name, value by value. */
export function isDemoWorld(attributes: readonly JudgedAttribute[]): boolean {
  const counts = new Map(
    Object.entries(WORLD_PHRASES).map(([slot, phrases]) => [slot, phrases.length]),
  );
  return (
    attributes.length > 0 &&
    attributes.every(({ name, values }) => counts.get(name) === values.length)
  );
}
