import { InvalidInputError } from '#core/errors.ts';

const MAX_CHARACTERS = 2048;

/**
 * What can be said of a webhook's address without asking anybody. Which machine its name leads to is
 * checked when it is called: that may change in between.
 *
 * @throws InvalidInputError
 */
export function validateWebhookUrl(text: string): string {
  if (text.length > MAX_CHARACTERS) {
    throw new InvalidInputError(
      'webhook',
      `the address has more than ${MAX_CHARACTERS} characters`,
      'use a shorter address',
    );
  }
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url === null || url.protocol !== 'https:') {
    throw new InvalidInputError(
      'webhook',
      'the address is not an https URL',
      'give an address such as https://example.com/hooks/flexcache',
    );
  }
  if (url.username !== '' || url.password !== '') {
    throw new InvalidInputError(
      'webhook',
      'the address carries a user name or a password',
      'verify the signature of what arrives instead; see "Webhooks" in docs/api.md',
    );
  }
  return text;
}
