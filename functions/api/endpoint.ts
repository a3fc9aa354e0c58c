import type { z } from 'zod';
import type { ErrorStatus } from './api-error.ts';
import type { Caller } from './authenticate.ts';
import type { ApiServices } from './services.ts';

/** One request, checked. */
export interface Call<Query, Body> {
  services: ApiServices;
  caller: Caller;
  /** Of the path; empty where it has none. */
  id: string;
  query: Query;
  body: Body;
  idempotencyKey: string | undefined;
}

/** What the endpoint is, for the document, the checks and the router alike. */
export interface Endpoint<Query = never, Body = never> {
  method: 'get' | 'post' | 'delete';
  /** With `{id}` where it names something. */
  path: string;
  operationId: string;
  tag: 'videos' | 'backfills' | 'models' | 'service';
  summary: string;
  description?: string;
  /** Needs no key. */
  isOpen?: true;
  query?: z.ZodObject;
  body?: BodyRule;
  /** Takes the header Idempotency-Key. */
  isIdempotent?: true;
  /** What is answered when it goes well. */
  answer: { status: 200; description: string; schema: z.ZodType } | Redirect;
  /** Beside those that any endpoint of its kind may answer. */
  errors: readonly ErrorStatus[];
  handle(call: Call<Query, Body>): Promise<unknown>;
}

export interface BodyRule {
  schema: z.ZodObject;
  limitBytes: number;
  /** Whether a multipart form is taken too. */
  acceptsForm: boolean;
}

/** `handle` returns the address. */
export interface Redirect {
  status: 302;
  description: string;
}

/** An endpoint whose call has the types of its schemas. */
export function endpoint<Query extends z.ZodObject = never, Body extends z.ZodObject = never>(
  declared: Omit<Endpoint<z.output<Query>, z.output<Body>>, 'query' | 'body'> & {
    query?: Query;
    body?: { schema: Body } & BodyRule;
  },
): Endpoint {
  return declared as Endpoint;
}
