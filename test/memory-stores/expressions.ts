import type { AttributeValue } from '@aws-sdk/client-dynamodb';
import {
  parseCondition,
  parseUpdate,
  type Condition,
  type Operand,
  type UpdateClause,
} from './expression-parser.ts';

/** An item as it goes over the wire. */
export type Item = Record<string, AttributeValue>;

/** What an expression's placeholders stand for. */
export interface Placeholders {
  names?: Record<string, string> | undefined;
  values?: Record<string, AttributeValue> | undefined;
}

type Sets = 'SS' | 'NS' | 'BS';

/** Whether the item, undefined when there is none, fulfils the condition. */
export function fulfils(
  item: Item | undefined,
  condition: string,
  placeholders: Placeholders,
): boolean {
  return holds(parseCondition(condition), new Scope(item ?? {}, placeholders));
}

/** The item after the update; the one given stays as it is. */
export function updated(item: Item, update: string, placeholders: Placeholders): Item {
  const next = { ...item };
  // Every operand means the item as it was.
  const scope = new Scope(item, placeholders);
  for (const clause of parseUpdate(update)) apply(clause, next, scope);
  return next;
}

class Scope {
  readonly #item: Item;
  readonly #placeholders: Placeholders;

  constructor(item: Item, placeholders: Placeholders) {
    this.#item = item;
    this.#placeholders = placeholders;
  }

  name(word: string): string {
    if (!word.startsWith('#')) return word;
    const name = this.#placeholders.names?.[word];
    if (name === undefined) throw new Error(`nothing is named ${word}`);
    return name;
  }

  value(operand: Operand): AttributeValue | undefined {
    switch (operand.kind) {
      case 'path':
        return at(
          this.#item,
          operand.path.map((word) => this.name(word)),
        );
      case 'value': {
        const value = this.#placeholders.values?.[operand.name];
        if (value === undefined) throw new Error(`${operand.name} has no value`);
        return value;
      }
      case 'sum': {
        const [left, right] = [this.value(operand.left), this.value(operand.right)];
        return { N: String(numberOf(left) + operand.sign * numberOf(right)) };
      }
      case 'call':
        if (operand.name === 'size')
          return { N: String(sizeOf(this.value(operand.arguments[0]!))) };
        if (operand.name !== 'if_not_exists') throw new Error(`${operand.name} has no value`);
        return this.value(operand.arguments[0]!) ?? this.value(operand.arguments[1]!);
    }
  }
}

function holds(condition: Condition, scope: Scope): boolean {
  switch (condition.kind) {
    case 'and':
      return holds(condition.left, scope) && holds(condition.right, scope);
    case 'or':
      return holds(condition.left, scope) || holds(condition.right, scope);
    case 'not':
      return !holds(condition.inner, scope);
    case 'compare':
      return compares(
        condition.operator,
        scope.value(condition.left),
        scope.value(condition.right),
      );
    case 'in': {
      const value = scope.value(condition.operand);
      return condition.among.some((one) => compares('=', value, scope.value(one)));
    }
    case 'between': {
      const value = scope.value(condition.operand);
      return (
        compares('>=', value, scope.value(condition.low)) &&
        compares('<=', value, scope.value(condition.high))
      );
    }
    case 'test':
      return passes(condition.call, scope);
  }
}

function passes({ name, arguments: given }: Operand & { kind: 'call' }, scope: Scope): boolean {
  const value = scope.value(given[0]!);
  if (name === 'attribute_exists') return value !== undefined;
  if (name === 'attribute_not_exists') return value === undefined;
  const other = scope.value(given[1]!);
  if (value === undefined || other === undefined) return false;
  if (name === 'begins_with') return value.S!.startsWith(other.S!);
  if (name !== 'contains') throw new Error(`${name} is no test`);
  if (value.S !== undefined) return value.S.includes(other.S!);
  return (membersOf(value) ?? []).includes(other.S ?? other.N ?? '');
}

/** False where a side is missing or of another type, but for `<>`. */
function compares(
  operator: string,
  left: AttributeValue | undefined,
  right: AttributeValue | undefined,
): boolean {
  if (left === undefined || right === undefined) {
    return operator === '<>' && left !== right;
  }
  const isEqual = JSON.stringify(left) === JSON.stringify(right);
  if (operator === '=') return isEqual;
  if (operator === '<>') return !isEqual;
  const [one, other] =
    left.N !== undefined && right.N !== undefined
      ? [Number(left.N), Number(right.N)]
      : [left.S, right.S];
  if (one === undefined || other === undefined) return false;
  if (operator === '<') return one < other;
  if (operator === '<=') return one <= other;
  if (operator === '>') return one > other;
  return one >= other;
}

function apply({ action, path, operand }: UpdateClause, next: Item, scope: Scope): void {
  const names = path.map((word) => scope.name(word));
  const name = names.at(-1)!;
  const parent = copied(next, names.slice(0, -1));
  if (parent === undefined) throw new Error(`there is no ${names.join('.')} to write to`);
  const given = operand && scope.value(operand);
  if (action === 'SET') {
    if (given === undefined) throw new Error(`${names.join('.')} cannot be set to nothing`);
    parent[name] = given;
  } else if (action === 'REMOVE') delete parent[name];
  else if (action === 'ADD') parent[name] = sum(parent[name], given!);
  else {
    const rest = difference(parent[name], given!);
    if (rest === undefined) delete parent[name];
    else parent[name] = rest;
  }
}

/** The map at the path, with all on the way there copied, so that it may be written to. */
function copied(item: Item, path: readonly string[]): Item | undefined {
  let parent = item;
  for (const name of path) {
    const inner = parent[name]?.M;
    if (inner === undefined) return undefined;
    const copy = { ...inner };
    parent[name] = { M: copy };
    parent = copy;
  }
  return parent;
}

function sum(value: AttributeValue | undefined, added: AttributeValue): AttributeValue {
  if (added.N !== undefined) return { N: String(Number(value?.N ?? 0) + Number(added.N)) };
  const kind = kindOfSet(added);
  const members = new Set([...(value?.[kind] ?? []), ...added[kind]!]);
  return { [kind]: [...members].sort() } as unknown as AttributeValue;
}

/** Undefined when nothing is left: there are no empty sets. */
function difference(
  value: AttributeValue | undefined,
  taken: AttributeValue,
): AttributeValue | undefined {
  const kind = kindOfSet(taken);
  const gone: readonly unknown[] = taken[kind]!;
  const rest = ((value?.[kind] ?? []) as unknown[]).filter((member) => !gone.includes(member));
  return rest.length === 0 ? undefined : ({ [kind]: rest } as unknown as AttributeValue);
}

function kindOfSet(value: AttributeValue): Sets {
  for (const kind of ['SS', 'NS', 'BS'] as const) if (value[kind] !== undefined) return kind;
  throw new Error('only numbers and sets are added to and taken from');
}

function membersOf(value: AttributeValue): readonly string[] | undefined {
  return value.SS ?? value.NS ?? value.L?.map((member) => member.S ?? member.N ?? '');
}

function sizeOf(value: AttributeValue | undefined): number {
  if (value === undefined) throw new Error('what is not there has no size');
  return (value.S ?? value.B ?? membersOf(value) ?? Object.keys(value.M ?? {})).length;
}

function numberOf(value: AttributeValue | undefined): number {
  if (value?.N === undefined) throw new Error('a sum needs numbers');
  return Number(value.N);
}

function at(item: Item, path: readonly string[]): AttributeValue | undefined {
  let value: AttributeValue | undefined = { M: item };
  for (const name of path) value = value?.M?.[name];
  return value;
}
