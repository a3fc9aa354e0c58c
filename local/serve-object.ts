import { ObjectMissingError } from '#core/errors.ts';
import { contentDisposition } from '#aws/content-disposition.ts';
import type { ObjectStore } from '#ports/objects.ts';
import type { ObjectLink, ObjectLinks } from './object-links.ts';

/** One range of bytes; players ask for no more. */
const RANGE = /^bytes=(\d*)-(\d*)$/;

const METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD']);
const ALLOW = [...METHODS].join(', ');

/**
 * Answers a request for an object whose address was signed: whole, a range of it, or that the caller
 * has it already (RFC 9110, sections 13 and 14). An object never changes, so its hash names it.
 */
export async function serveObject(
  objects: Pick<ObjectStore, 'get' | 'head'>,
  links: ObjectLinks,
  request: Request,
): Promise<Response> {
  if (!METHODS.has(request.method)) {
    return new Response(`use ${ALLOW}\n`, { status: 405, headers: { allow: ALLOW } });
  }
  const link = links.verify(new URL(request.url));
  if (link === null) return new Response('the address has expired, or was changed\n', FORBIDDEN);
  const head = await objects.head(link.key);
  if (head === null) return gone();
  const etag = `"${head.sha256}"`;
  const headers = headersOf(link, etag);
  if (namesTag(request.headers.get('if-none-match'), etag)) {
    return new Response(null, { status: 304, headers });
  }
  const range = rangeOf(request.headers, head.bytes, etag);
  if (range === 'unsatisfiable') {
    headers.set('content-range', `bytes */${head.bytes}`);
    return new Response(null, { status: 416, headers });
  }
  const { start, end } = range ?? { start: 0, end: head.bytes - 1 };
  if (range !== null) headers.set('content-range', `bytes ${start}-${end}/${head.bytes}`);
  headers.set('content-length', String(end - start + 1));
  const answer = { status: range === null ? 200 : 206, headers };
  if (request.method === 'HEAD') return new Response(null, answer);
  try {
    const body = await objects.get(link.key);
    return new Response(new Uint8Array(body.subarray(start, end + 1)), answer);
  } catch (error) {
    if (error instanceof ObjectMissingError) return gone();
    throw error;
  }
}

const FORBIDDEN = { status: 403 } as const;

function gone(): Response {
  return new Response('the object is gone\n', { status: 404 });
}

function headersOf(link: ObjectLink, etag: string): Headers {
  const headers = new Headers({
    'accept-ranges': 'bytes',
    'cache-control': 'private, max-age=3600, immutable',
    'content-type': link.contentType ?? 'application/octet-stream',
    etag,
    'x-content-type-options': 'nosniff',
  });
  if (link.fileName !== null) headers.set('content-disposition', contentDisposition(link.fileName));
  return headers;
}

/** Whether a list of entity tags has this one; a weak tag of it does as well. */
function namesTag(list: string | null, etag: string): boolean {
  const tags = (list ?? '').split(',').map((tag) => tag.trim().replace(/^W\//, ''));
  return tags.includes('*') || tags.includes(etag);
}

/**
 * What a request asks for of so many bytes; null is all of it, as where the range belongs to another
 * object (`If-Range`) or is none.
 */
function rangeOf(
  headers: Headers,
  bytes: number,
  etag: string,
): { start: number; end: number } | 'unsatisfiable' | null {
  const condition = headers.get('if-range');
  if (condition !== null && condition !== etag) return null;
  const [, first, last] = RANGE.exec(headers.get('range') ?? '') ?? [];
  if (first === undefined || last === undefined || (first === '' && last === '')) return null;
  if (first !== '' && last !== '' && Number(last) < Number(first)) return null;
  // `-n` asks for the last n bytes.
  const start = first === '' ? Math.max(0, bytes - Number(last)) : Number(first);
  const end = first === '' || last === '' ? bytes - 1 : Math.min(Number(last), bytes - 1);
  return start > end ? 'unsatisfiable' : { start, end };
}
