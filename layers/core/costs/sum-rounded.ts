/** Sums a measured amount, rounded to a thousandth of its unit to drop floating-point errors. */
export function sumRounded<Element>(
  elements: readonly Element[],
  amountOf: (element: Element) => number | undefined,
): number {
  const sum = elements.reduce((total, element) => total + (amountOf(element) ?? 0), 0);
  return Math.round(sum * 1000) / 1000;
}
