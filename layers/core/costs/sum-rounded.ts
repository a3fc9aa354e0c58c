/** Sum of a measured amount, to a thousandth of its unit: what floating point adds to it is dropped. */
export function sumRounded<Element>(
  elements: readonly Element[],
  amountOf: (element: Element) => number | undefined,
): number {
  const sum = elements.reduce((total, element) => total + (amountOf(element) ?? 0), 0);
  return Math.round(sum * 1000) / 1000;
}
