import { priceOf } from '../pricing/money.ts';
import { machinePriceId, priceIn, type Machine, type PriceBook } from '../pricing/prices.ts';
import { gpuHours } from '../costs/usage-cost.ts';

/** Billed seconds of a machine after its last video, or without any. */
export interface IdleTail extends Machine {
  seconds: number;
}

/**
 * Computes the cost of an idle machine that belongs to no video, pico-dollars.
 *
 * @throws InvalidInputError if the seconds are impossible; @throws UnknownPriceError
 */
export function costOfTail({ seconds, ...machine }: IdleTail, book: PriceBook): bigint {
  return priceOf(priceIn(book, machinePriceId(machine)).amount, gpuHours(seconds, 'idleSeconds'));
}
