import { InvalidInputError } from '#core/errors.ts';
import { isLoopbackAddress, isPublicAddress, literalAddress } from './addresses.ts';

const MAX_CHARACTERS = 2048;
const HTTPS_PORT = 443;
/** Below are the ports of mail, databases of old and the like: nothing that takes webhooks. */
const FIRST_UNPRIVILEGED_PORT = 1024;
/** Names of this machine (RFC 6761). */
const LOCALHOST = /^(.+\.)?localhost\.?$/;

export interface WebhookPolicy {
  /** For development: receivers on this machine, also without TLS. */
  allowLoopback?: boolean;
}

/**
 * What can be said of a webhook's address without asking anybody. Which machine its name leads to is
 * checked by the connection itself: that may change in between.
 *
 * @throws InvalidInputError naming the field `webhook`
 */
export function validateWebhookUrl(
  text: unknown,
  { allowLoopback = false }: WebhookPolicy = {},
): string {
  if (typeof text !== 'string' || text.length > MAX_CHARACTERS) {
    throw wrong(
      `is no text of at most ${MAX_CHARACTERS} characters`,
      'give an address such as https://example.com/hooks/flexcache',
    );
  }
  const url = URL.canParse(text) ? new URL(text) : null;
  const isLoopback = url !== null && isLoopbackHost(url.hostname);
  if (isLoopback && !allowLoopback) {
    throw wrong(
      'leads to the machine that serves',
      'give a host that the Internet can reach; a receiver on your own machine takes `flexcache serve --allow-local-webhooks`',
    );
  }
  if (url === null || !(url.protocol === 'https:' || (isLoopback && url.protocol === 'http:'))) {
    throw wrong(
      'is not an https URL',
      'give an address such as https://example.com/hooks/flexcache',
    );
  }
  if (url.username !== '' || url.password !== '') {
    throw wrong(
      'carries a user name or a password',
      'verify the signature of what arrives instead; see docs/webhooks.md',
    );
  }
  if (isLoopback) return text;
  const address = literalAddress(url.hostname);
  if (address !== null && !isPublicAddress(address)) {
    throw wrong('leads to no public machine', 'give a host that the Internet can reach');
  }
  const port = url.port === '' ? HTTPS_PORT : Number(url.port);
  if (port !== HTTPS_PORT && port < FIRST_UNPRIVILEGED_PORT) {
    throw wrong(
      `names port ${port}`,
      `use port ${HTTPS_PORT}, or one from ${FIRST_UNPRIVILEGED_PORT} on`,
    );
  }
  return text;
}

function isLoopbackHost(hostname: string): boolean {
  const address = literalAddress(hostname);
  return address === null ? LOCALHOST.test(hostname) : isLoopbackAddress(address);
}

function wrong(what: string, fix: string): InvalidInputError {
  return new InvalidInputError('webhook', `the address of the webhook ${what}`, fix);
}
