import { ObjectMissingError } from '#core/errors.ts';
import { contentDisposition } from '#stores/content-disposition.ts';
import type { ObjectStore } from '#stores/objects.ts';
import type { ObjectLinks } from './object-links.ts';

/** One range of bytes; players ask for no more. */
const RANGE = /^bytes=(\d*)-(\d*)$/;

/** Answers a request for an object whose address was signed. */
export async function serveObject(
  objects: Pick<ObjectStore, 'get'>,
  links: ObjectLinks,
  request: Request,
): Promise<Response> {
  const link = links.verify(new URL(request.url));
  if (link === null) return new Response('the address has expired, or was changed\n', FORBIDDEN);
  let body: Uint8Array;
  try {
    body = await objects.get(link.key);
  } catch (error) {
    if (!(error instanceof ObjectMissingError)) throw error;
    return new Response('the object is gone\n', { status: 404 });
  }
  const headers = new Headers({
    'accept-ranges': 'bytes',
    'cache-control': 'private, max-age=3600, immutable',
    'content-type': link.contentType ?? 'application/octet-stream',
    'x-content-type-options': 'nosniff',
  });
  if (link.fileName !== null) headers.set('content-disposition', contentDisposition(link.fileName));
  return ranged(body, request.headers.get('range'), headers);
}

const FORBIDDEN = { status: 403 } as const;

function ranged(body: Uint8Array, range: string | null, headers: Headers): Response {
  const size = body.byteLength;
  const [, first, last] = RANGE.exec(range ?? '') ?? [];
  if (first === undefined || last === undefined || (first === '' && last === '')) {
    headers.set('content-length', String(size));
    return new Response(new Uint8Array(body), { headers });
  }
  // `-n` asks for the last n bytes.
  const start = first === '' ? Math.max(0, size - Number(last)) : Number(first);
  const end = first === '' || last === '' ? size - 1 : Math.min(Number(last), size - 1);
  if (start > end) {
    headers.set('content-range', `bytes */${size}`);
    return new Response(null, { status: 416, headers });
  }
  headers.set('content-range', `bytes ${start}-${end}/${size}`);
  headers.set('content-length', String(end - start + 1));
  return new Response(new Uint8Array(body.subarray(start, end + 1)), { status: 206, headers });
}
