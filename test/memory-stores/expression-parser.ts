/** An operand of a condition or an update. */
export type Operand =
  | { kind: 'path'; path: readonly string[] }
  | { kind: 'value'; name: string }
  | { kind: 'call'; name: string; arguments: readonly Operand[] }
  | { kind: 'sum'; sign: 1 | -1; left: Operand; right: Operand };

export type Condition =
  | { kind: 'and' | 'or'; left: Condition; right: Condition }
  | { kind: 'not'; inner: Condition }
  | { kind: 'compare'; operator: string; left: Operand; right: Operand }
  | { kind: 'in'; operand: Operand; among: readonly Operand[] }
  | { kind: 'between'; operand: Operand; low: Operand; high: Operand }
  | { kind: 'test'; call: Operand & { kind: 'call' } };

export interface UpdateClause {
  action: 'SET' | 'REMOVE' | 'ADD' | 'DELETE';
  path: readonly string[];
  /** None for REMOVE. */
  operand?: Operand;
}

const TOKEN = /\s*(<>|<=|>=|[=<>(),.+-]|[#:]?[A-Za-z_][\w]*)/y;
const ACTIONS = ['SET', 'REMOVE', 'ADD', 'DELETE'] as const;

/**
 * Reads the expressions of DynamoDB (developer guide, "Condition and filter expressions, operators,
 * and functions" and "Using update expressions") as far as names of attributes, values, functions,
 * comparisons and sums go; indexes of lists are not read.
 */
class Parser {
  readonly #tokens: string[];
  #position = 0;

  constructor(text: string) {
    this.#tokens = tokensOf(text);
  }

  get isAtEnd(): boolean {
    return this.#position === this.#tokens.length;
  }

  condition(): Condition {
    let left = this.#conjunction();
    while (this.#takes('OR')) left = { kind: 'or', left, right: this.#conjunction() };
    return left;
  }

  update(): UpdateClause[] {
    const clauses: UpdateClause[] = [];
    while (!this.isAtEnd) {
      const word = this.#next();
      const action = ACTIONS.find((known) => known === word.toUpperCase());
      if (action === undefined) throw new Error(`${word} is no action of an update`);
      do clauses.push(this.#clause(action));
      while (this.#takes(','));
    }
    return clauses;
  }

  #clause(action: UpdateClause['action']): UpdateClause {
    const path = this.#path(this.#next());
    if (action === 'REMOVE') return { action, path };
    if (action === 'SET') this.#expect('=');
    return { action, path, operand: this.#operand() };
  }

  #conjunction(): Condition {
    let left = this.#negation();
    while (this.#takes('AND')) left = { kind: 'and', left, right: this.#negation() };
    return left;
  }

  #negation(): Condition {
    if (this.#takes('NOT')) return { kind: 'not', inner: this.#negation() };
    if (this.#takes('(')) {
      const inner = this.condition();
      this.#expect(')');
      return inner;
    }
    const left = this.#operand();
    if (this.#takes('IN')) return { kind: 'in', operand: left, among: this.#list() };
    if (this.#takes('BETWEEN')) {
      const low = this.#operand();
      this.#expect('AND');
      return { kind: 'between', operand: left, low, high: this.#operand() };
    }
    const operator = this.#peek();
    if (operator !== undefined && /^(=|<>|<|<=|>|>=)$/.test(operator)) {
      this.#next();
      return { kind: 'compare', operator, left, right: this.#operand() };
    }
    if (left.kind === 'call') return { kind: 'test', call: left };
    throw new Error(`a condition ends at ${operator}`);
  }

  #operand(): Operand {
    let left = this.#single();
    for (;;) {
      if (this.#takes('+')) left = { kind: 'sum', sign: 1, left, right: this.#single() };
      else if (this.#takes('-')) left = { kind: 'sum', sign: -1, left, right: this.#single() };
      else return left;
    }
  }

  #single(): Operand {
    const token = this.#next();
    if (token.startsWith(':')) return { kind: 'value', name: token };
    if (this.#peek() === '(') return { kind: 'call', name: token, arguments: this.#list() };
    return { kind: 'path', path: this.#path(token) };
  }

  #list(): Operand[] {
    this.#expect('(');
    const operands = [this.#operand()];
    while (this.#takes(',')) operands.push(this.#operand());
    this.#expect(')');
    return operands;
  }

  #path(first: string): string[] {
    const path = [first];
    while (this.#takes('.')) path.push(this.#next());
    return path;
  }

  #peek(): string | undefined {
    return this.#tokens[this.#position];
  }

  #next(): string {
    const token = this.#tokens[this.#position++];
    if (token === undefined) throw new Error('the expression ends too early');
    return token;
  }

  #takes(token: string): boolean {
    const isNext = this.#peek()?.toUpperCase() === token;
    if (isNext) this.#position++;
    return isNext;
  }

  #expect(token: string): void {
    const found = this.#next();
    if (found !== token) throw new Error(`${found} where ${token} belongs`);
  }
}

function tokensOf(text: string): string[] {
  const tokens: string[] = [];
  TOKEN.lastIndex = 0;
  while (TOKEN.lastIndex < text.trimEnd().length) {
    const at = TOKEN.lastIndex;
    const token = TOKEN.exec(text)?.[1];
    if (token === undefined) throw new Error(`cannot read ${JSON.stringify(text.slice(at))}`);
    tokens.push(token);
  }
  return tokens;
}

const conditions = new Map<string, Condition>();
const updates = new Map<string, readonly UpdateClause[]>();

/** @throws Error when it is none. */
export function parseCondition(text: string): Condition {
  return remembered(conditions, text, (parser) => parser.condition());
}

/** @throws Error when it is none. */
export function parseUpdate(text: string): readonly UpdateClause[] {
  return remembered(updates, text, (parser) => parser.update());
}

function remembered<Parsed>(
  known: Map<string, Parsed>,
  text: string,
  parse: (parser: Parser) => Parsed,
): Parsed {
  let parsed = known.get(text);
  if (parsed === undefined) {
    const parser = new Parser(text);
    parsed = parse(parser);
    if (!parser.isAtEnd) throw new Error(`there is more behind the end of ${JSON.stringify(text)}`);
    known.set(text, parsed);
  }
  return parsed;
}
