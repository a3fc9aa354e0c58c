import { z } from 'zod';
import { ApiError } from './api-error.ts';

/**
 * A value that came from outside, checked against its schema.
 *
 * @throws ApiError 400 that names the first wrong field.
 */
export function validate<Schema extends z.ZodType>(
  schema: Schema,
  value: unknown,
): z.output<Schema> {
  refuseNameOfPrototypes(value);
  const checked = schema.safeParse(value, { reportInput: true });
  if (checked.success) return checked.data;
  throw fromIssue(checked.error.issues[0]!);
}

const PROTOTYPE = '__proto__';

/** No object can be relied on to keep a field of this name: it would be lost without a word. */
function refuseNameOfPrototypes(value: unknown): void {
  const rest = [value];
  while (rest.length > 0) {
    const next = rest.pop();
    if (typeof next !== 'object' || next === null) continue;
    if (Object.hasOwn(next, PROTOTYPE)) {
      throw new ApiError(400, 'unknown_parameter', `no field can be called "${PROTOTYPE}"`, {
        param: PROTOTYPE,
      });
    }
    for (const inner of Object.values(next)) rest.push(inner);
  }
}

function fromIssue(issue: z.core.$ZodIssue): ApiError {
  const path = paramOf(issue.path);
  if (issue.code === 'unrecognized_keys') {
    const param = paramOf([...issue.path, issue.keys[0]!]);
    return new ApiError(400, 'unknown_parameter', `there is no parameter ${quoted(param)}`, {
      param,
    });
  }
  if (issue.code === 'invalid_type' && issue.input === undefined && path !== '') {
    return new ApiError(400, 'missing_required_parameter', `${quoted(path)} is missing`, {
      param: path,
    });
  }
  const code = issue.code === 'custom' ? String(issue.params?.['code'] ?? 'invalid_input') : null;
  return new ApiError(
    400,
    code ?? 'invalid_input',
    path === '' ? `the body: ${issue.message}` : `${quoted(path)}: ${issue.message}`,
    { param: path === '' ? undefined : path },
  );
}

/** `prompts[3].seed` */
function paramOf(path: readonly PropertyKey[]): string {
  let param = '';
  for (const key of path) {
    if (typeof key === 'number') param += `[${key}]`;
    else param += `${param === '' ? '' : '.'}${String(key)}`;
  }
  return param.slice(0, MAX_PARAM);
}

const MAX_PARAM = 200;

function quoted(param: string): string {
  return JSON.stringify(param.toWellFormed());
}

const DECIMAL = /^-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?$/;

/** What a form's texts mean where its schema expects numbers, truth values or whole objects. */
export function fromFormText(schema: z.core.$ZodType, value: unknown): unknown {
  if (schema instanceof z.ZodOptional) return fromFormText(schema.unwrap(), value);
  if (schema instanceof z.ZodObject) {
    const fields = parsedObject(value);
    if (fields === null) return value;
    return Object.fromEntries(
      Object.entries(fields).map(([name, field]) => {
        const inner = Object.hasOwn(schema.shape, name) ? schema.shape[name] : undefined;
        return [name, inner === undefined ? field : fromFormText(inner, field)];
      }),
    );
  }
  if (schema instanceof z.ZodRecord) return parsedObject(value) ?? value;
  if (typeof value !== 'string') return value;
  if (schema instanceof z.ZodNumber && DECIMAL.test(value)) return Number(value);
  if (schema instanceof z.ZodBoolean && /^(?:true|false)$/.test(value)) return value === 'true';
  return value;
}

/** An object, given as fields of its own or as JSON text. */
function parsedObject(value: unknown): object | null {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value;
  if (typeof value !== 'string' || !value.trimStart().startsWith('{')) return null;
  try {
    return JSON.parse(value) as object;
  } catch {
    return null;
  }
}
