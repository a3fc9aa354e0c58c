import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';
import { openApiDocument } from '#functions/api/openapi.ts';
import { MANIFEST } from '../denoiser/fakes.ts';

interface Operation {
  responses: Record<string, { content?: Record<string, { schema: object }> }>;
}

interface Document {
  paths: Record<string, Record<string, Operation>>;
  components: object;
}

/** What a request was answered, as far as the document speaks of it. */
export interface Answered {
  status: number;
  headers: Headers;
  body: unknown;
}

/** Checks answers against `/openapi.json`: the status is declared, and the body has its schema. */
export class DocumentConformance {
  readonly #document = openApiDocument(MANIFEST) as unknown as Document;
  readonly #ajv = new Ajv2020({ strict: false, validateFormats: false, allErrors: true });
  readonly #validators = new Map<string, ValidateFunction>();
  readonly #paths = Object.keys(this.#document.paths).map((path) => ({
    path,
    pattern: new RegExp(`^${path.replaceAll('{id}', '[^/]*')}$`),
  }));

  /** Says how an answer differs from the document; null when it does not, or no operation was asked. */
  differenceOf(method: string, url: string, answered: Answered): string | null {
    const { pathname } = new URL(url, 'http://api');
    const path = this.#paths.find(({ pattern }) => pattern.test(pathname))?.path;
    const operation = path && this.#document.paths[path]![method.toLowerCase()];
    if (!operation) return null;
    const { status, headers, body } = answered;
    const what = `${method} ${path} -> ${status}`;
    const declared = operation.responses[status];
    if (declared === undefined) return `${what} is not declared`;
    const type = headers.get('content-type')?.split(';')[0] ?? null;
    const [declaredType = null] = Object.keys(declared.content ?? {});
    if (declaredType === null) return null;
    if (type !== declaredType) return `${what} has content type ${type}`;
    const validate = this.#validatorOf(what, declared.content![declaredType]!.schema);
    return validate(body) ? null : `${what}: ${this.#ajv.errorsText(validate.errors)}`;
  }

  #validatorOf(name: string, schema: object): ValidateFunction {
    const known = this.#validators.get(name);
    if (known !== undefined) return known;
    const { components } = this.#document;
    const validator = this.#ajv.compile({ ...schema, components });
    this.#validators.set(name, validator);
    return validator;
  }
}
