import { ApiError } from './api-error.ts';

/** Values by name; without a prototype, so that no name means anything but itself. */
interface Fields {
  [name: string]: string | string[] | Fields;
}

/** What stands for a file that was sent as a field; null where the field is none of files. */
export type FileField = (name: string, file: File) => Promise<Record<string, string> | null>;

const NAME = /^([^[\]]+)((?:\[[^[\]]*\])*)$/;

/** Deeper than any field of ours. */
const MAX_DEPTH = 4;

/**
 * A form as the object that was meant: clients write the field `cache` of the object `extra_params`
 * as `extra_params[cache]`, and the elements of a list `names` as `names[]`.
 *
 * @throws ApiError 400 for a file in a field of texts, and for names that contradict each other.
 */
export async function objectFromForm(
  form: Iterable<[string, string | File]>,
  fileField: FileField,
): Promise<Fields> {
  const fields: Fields = Object.create(null) as Fields;
  for (const [name, sent] of form) {
    const value = typeof sent === 'string' ? sent : await fileField(name, sent);
    if (value === null) {
      throw new ApiError(400, 'unsupported_parameter', `${JSON.stringify(name)} is a file`, {
        param: name,
      });
    }
    const [, first, rest] = NAME.exec(name) ?? [];
    const path = first === undefined ? [name] : [first, ...insideBrackets(rest ?? '')];
    if (path.length > MAX_DEPTH) throw contradiction(name);
    set(fields, path, value, name);
  }
  return fields;
}

function insideBrackets(brackets: string): string[] {
  return brackets === '' ? [] : brackets.slice(1, -1).split('][');
}

function set(
  fields: Fields,
  path: readonly string[],
  value: string | Record<string, string>,
  name: string,
): void {
  const [key, ...rest] = path;
  const present = fields[key!];
  if (rest.length === 0) {
    if (present !== undefined) throw contradiction(name);
    fields[key!] = value;
  } else if (rest.length === 1 && rest[0] === '') {
    if (present !== undefined && !Array.isArray(present)) throw contradiction(name);
    if (typeof value !== 'string') throw contradiction(name);
    fields[key!] = [...(present ?? []), value];
  } else {
    const inner = present ?? (Object.create(null) as Fields);
    if (typeof inner === 'string' || Array.isArray(inner)) throw contradiction(name);
    fields[key!] = inner;
    set(inner, rest, value, name);
  }
}

function contradiction(name: string): ApiError {
  return new ApiError(
    400,
    'invalid_form',
    `the form field ${JSON.stringify(name.slice(0, 200))} is given twice, or nested too deep`,
    { param: name.slice(0, 200) },
  );
}
