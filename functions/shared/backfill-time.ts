import { InvalidInputError } from '#core/errors.ts';
import { MAX_BACKFILL_SECONDS } from '#core/requests/task-timeouts.ts';
import type { PaceTable } from '#ports/pace-table.ts';

const SECONDS_PER_DAY = 24 * 3600;

/** Whether a backfill can be made before its execution is ended: lines that have no time are lost. */
export class BackfillTime {
  readonly #pace: Pick<PaceTable, 'secondsPerVideo'>;
  readonly #workers: number;

  /** @param workers the most that there may be for backfills */
  constructor(pace: Pick<PaceTable, 'secondsPerVideo'>, workers: number) {
    this.#pace = pace;
    this.#workers = workers;
  }

  /**
   * By the measured seconds of a video, those of the other pool before the first line of any backfill.
   * Nothing is refused before a first video was measured.
   *
   * @throws InvalidInputError
   */
  async require(lines: number, concurrency: number): Promise<void> {
    const pace = this.#pace;
    const secondsPerVideo =
      (await pace.secondsPerVideo('backfill')) ?? (await pace.secondsPerVideo('interactive'));
    if (secondsPerVideo === null) return;
    const atOnce = Math.min(concurrency, this.#workers);
    const seconds = (lines * secondsPerVideo) / atOnce;
    if (seconds <= MAX_BACKFILL_SECONDS) return;
    const most = Math.floor((MAX_BACKFILL_SECONDS * atOnce) / secondsPerVideo);
    const days = (value: number): number => Math.ceil(value / SECONDS_PER_DAY);
    throw new InvalidInputError(
      'file',
      `${lines} requests of ${Math.ceil(secondsPerVideo)} s, ${atOnce} at once, take ${days(seconds)} days, and a backfill may take ${days(MAX_BACKFILL_SECONDS)}`,
      `split it into files of at most ${most} requests, or ask for more at once`,
    );
  }
}
