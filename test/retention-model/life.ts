import { canonical, hashOf } from './fold.ts';

/** What an actor waits for: one request to a store. */
interface Request {
  label: string;
  answer: () => Promise<void>;
}

/** Whoever waits for this waits for ever. */
const NEVER = new Promise<never>(() => {});

/**
 * One run of an actor's code, from its start to its end or its death. Each request to a store waits
 * until the schedule lets it through; then it has its effect at once, and the code runs on to its
 * next requests.
 */
export class Life {
  readonly #requests: Request[] = [];
  /** Hash of all that it was answered: its code is deterministic, so this says where it is. */
  #history = '';
  #state: 'running' | 'ended' | 'killed' = 'running';
  /** What it threw in the end. */
  #error: unknown = undefined;

  /** The work may request at once; it must do nothing asynchronous but through `request`. */
  begin(work: () => Promise<void>): void {
    work().then(
      () => this.#end(undefined),
      (error: unknown) => this.#end(error),
    );
  }

  /** Waits for its turn. */
  request<Answer>(label: string, perform: () => Answer | Promise<Answer>): Promise<Answer> {
    if (this.#state === 'killed') return NEVER;
    return new Promise<Answer>((resolve, reject) => {
      this.#requests.push({
        label,
        answer: async () => {
          try {
            const answer = await perform();
            this.#remember(label, answer);
            resolve(answer);
          } catch (error) {
            this.#remember(label, String(error));
            reject(error as Error);
          }
        },
      });
    });
  }

  /** Labels of the requests that wait, oldest first. */
  get waiting(): string[] {
    return this.#requests.map(({ label }) => label);
  }

  get isRunning(): boolean {
    return this.#state === 'running';
  }

  get error(): unknown {
    return this.#error;
  }

  /** Equal for two runs of the same code that stand at the same place. */
  get place(): string {
    return `${this.#state} ${this.#history}`;
  }

  /** Lets a waiting request through. */
  async let(index: number): Promise<void> {
    const [request] = this.#requests.splice(index, 1);
    await request!.answer();
    await settled();
  }

  /** Nothing of it happens any more. */
  kill(): void {
    this.#state = 'killed';
    this.#requests.length = 0;
  }

  #end(error: unknown): void {
    if (this.#state !== 'running') return;
    this.#state = 'ended';
    this.#error = error;
  }

  #remember(label: string, answer: unknown): void {
    this.#history = hashOf(`${this.#history} ${label} ${canonical(answer)}`);
  }
}

/** Whatever can run without an answer of a store has run. */
export function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
