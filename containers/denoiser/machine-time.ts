import type { UsageRecord } from '#core/generation.ts';
import type { Machine } from './machine.ts';

/** Seconds of a machine in which it did not work; nothing where nobody pays for them. */
export type UnworkedTime = Pick<UsageRecord, 'idleSeconds' | 'coldStartSeconds'>;

/**
 * The time that a machine is paid for without working. It is kept until somebody takes it: the next
 * video, or, behind the last one, the day. So no second of a machine is booked twice, and none is lost
 * while its worker lives. The embedded worker runs on a machine that is there anyway.
 */
export class MachineTime {
  readonly #isPaid: boolean;
  #coldStartSeconds: number;
  /** `performance.now()` */
  #workedUntil: number;

  /** @param coldStartSeconds until the worker was ready, which it is now */
  constructor({ purchaseOption }: Machine, coldStartSeconds: number) {
    this.#isPaid = purchaseOption !== 'embedded';
    this.#coldStartSeconds = coldStartSeconds;
    this.#workedUntil = performance.now();
  }

  /** What nobody has taken by a time, `performance.now()`. */
  untakenAt(time: number): UnworkedTime {
    if (!this.#isPaid) return {};
    const idleSeconds = Math.round(Math.max(0, time - this.#workedUntil)) / 1000;
    return {
      ...(idleSeconds > 0 && { idleSeconds }),
      ...(this.#coldStartSeconds > 0 && { coldStartSeconds: this.#coldStartSeconds }),
    };
  }

  /** A video has taken what there was, and its own work until then. */
  takenUntil(time: number): void {
    this.#coldStartSeconds = 0;
    this.#workedUntil = Math.max(this.#workedUntil, time);
  }
}
