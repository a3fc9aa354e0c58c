import { WORLD_PHRASES } from '#simulation/traces/world-vocabulary.ts';
import { namedValues, type JudgedAttribute } from '#core/planning/shown-attributes.ts';

/** For each attribute of the judge, the value that a prompt names; null if it names none or two. */
export type AskedValues = readonly (number | null)[];

/** Returns the judge's attribute values that a prompt names. */
export function askedValues(attributes: readonly JudgedAttribute[], prompt: string): AskedValues {
  return namedValues(attributes, prompt).map((named, index) =>
    named.length === 1 ? attributes[index]!.values.indexOf(named[0]!) : null,
  );
}

/** Whether a judge knows every attribute value of the demo world's prompts. */
export function isDemoWorld(attributes: readonly JudgedAttribute[]): boolean {
  const counts = new Map(
    Object.entries(WORLD_PHRASES).map(([slot, phrases]) => [slot, phrases.length]),
  );
  return (
    attributes.length > 0 &&
    attributes.every(({ name, values }) => counts.get(name) === values.length)
  );
}
