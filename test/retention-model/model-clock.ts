/** Epoch milliseconds at which every scenario begins. */
export const BEGINNING = Date.UTC(2026, 10, 22, 12);

/**
 * Lets `Date` tell what `now` says while the work goes on, so that code that looks at the clock is
 * run at chosen times.
 */
export async function onClock<Result>(
  now: () => number,
  work: () => Promise<Result>,
): Promise<Result> {
  const RealDate = globalThis.Date;
  class ModelDate extends RealDate {
    constructor(...given: [] | [string | number | Date]) {
      super(given.length === 0 ? now() : given[0]);
    }

    static override now(): number {
      return now();
    }
  }
  globalThis.Date = ModelDate as DateConstructor;
  try {
    return await work();
  } finally {
    globalThis.Date = RealDate;
  }
}
