import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import type { PresignOptions } from '#ports/objects.ts';

const SECRET_BYTES = 32;

/** What a link allows: to read one object until a time, under a type and a name. */
export interface ObjectLink {
  key: string;
  contentType: string | null;
  fileName: string | null;
}

/**
 * Signs links to objects and checks them. Each has a secret of its own, so that links end with the
 * process that made them.
 *
 * @example
 * const links = new ObjectLinks();
 * links.verify(new URL(links.sign('videos/v/1.mp4', { expiresSeconds: 60 }), origin));
 */
export class ObjectLinks {
  readonly #secret = randomBytes(SECRET_BYTES);

  /** Path and query. */
  sign(key: string, { expiresSeconds, contentType, fileName }: PresignOptions): string {
    const query = new URLSearchParams({
      expires: String(Math.ceil(Date.now() / 1000) + expiresSeconds),
      ...(contentType !== undefined && { type: contentType }),
      ...(fileName !== undefined && { name: fileName }),
    });
    query.set('signature', this.#signatureOf(key, query).toString('base64url'));
    return `${OBJECTS_PATH}${key}?${query}`;
  }

  /** Null unless the address is one that was signed here and has not expired. */
  verify({ pathname, searchParams }: URL): ObjectLink | null {
    const key = pathname.slice(OBJECTS_PATH.length);
    const given = Buffer.from(searchParams.get('signature') ?? '', 'base64url');
    const expected = this.#signatureOf(key, searchParams);
    if (given.length !== expected.length || !timingSafeEqual(given, expected)) return null;
    if (Number(searchParams.get('expires')) * 1000 < Date.now()) return null;
    return { key, contentType: searchParams.get('type'), fileName: searchParams.get('name') };
  }

  #signatureOf(key: string, query: URLSearchParams): Buffer {
    const signed = [key, query.get('expires'), query.get('type'), query.get('name')];
    return createHmac('sha256', this.#secret).update(JSON.stringify(signed)).digest();
  }
}

export const OBJECTS_PATH = '/objects/';
