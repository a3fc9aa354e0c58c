/**
 * The time of a machine, divided evenly among the messages that it works on at each moment. The shares of all
 * messages add up to the time in which there was one; of a message that was alone the share is all of its time.
 */
export class SharedTime {
  #messages = 0;
  /** Of a message that was there from the beginning, milliseconds. */
  #share = 0;
  #until = performance.now();

  /** Messages in the making. */
  get messages(): number {
    return this.#messages;
  }

  /** From now on a message more takes its share. */
  begin(): void {
    this.#advance();
    this.#messages += 1;
  }

  end(): void {
    this.#advance();
    this.#messages -= 1;
  }

  /** Milliseconds; what a message had between two calls is their difference. */
  now(): number {
    this.#advance();
    return this.#share;
  }

  #advance(): void {
    const now = performance.now();
    if (this.#messages > 0) this.#share += (now - this.#until) / this.#messages;
    this.#until = now;
  }
}
