import { InvalidInputError } from '#core/errors.ts';

const MAX_BUDGET_USD = 1_000_000;
const AMOUNT = /^\d{1,7}(\.\d{1,12})?$/;

/**
 * Dollars a month that a cache may cost in rent; it has to pay for something.
 *
 * @throws InvalidInputError naming the field.
 */
export function validateCacheBudget(budget: unknown, field = 'budget'): number {
  if (typeof budget === 'number' && budget > 0 && budget <= MAX_BUDGET_USD) return budget;
  throw refused(field, String(budget));
}

/** As people write it, `2.50`. @throws InvalidInputError naming the field. */
export function parseCacheBudget(text: string, field = 'budget'): number {
  if (!AMOUNT.test(text)) throw refused(field, JSON.stringify(text));
  return validateCacheBudget(Number(text), field);
}

function refused(field: string, shown: string): InvalidInputError {
  return new InvalidInputError(
    field,
    `${field} ${shown} is not an amount of dollars above 0, of at most ${MAX_BUDGET_USD}`,
    'give the dollars a month that the cache may cost in rent, such as 2.50',
  );
}
