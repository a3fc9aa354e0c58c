import { priceOf } from '../pricing/money.ts';
import { machinePriceId, priceIn, type Machine, type PriceBook } from '../pricing/prices.ts';
import { gpuHours } from '../costs/usage-cost.ts';

/** Seconds that a machine was paid for behind its last video, or without any. */
export interface IdleTail extends Machine {
  seconds: number;
}

/**
 * What idle machines cost that no video waited for, pico-dollars.
 *
 * @throws InvalidInputError when the seconds cannot be; @throws UnknownPriceError
 */
export function costOfTail({ seconds, ...machine }: IdleTail, book: PriceBook): bigint {
  return priceOf(priceIn(book, machinePriceId(machine)).amount, gpuHours(seconds, 'idleSeconds'));
}
