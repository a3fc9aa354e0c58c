import {
  fullWork,
  type Decision,
  type FullGeneration,
  type Holdings,
  type System,
} from '../system.ts';
import type { BenchRequest } from '../requests.ts';

/** No cache but that of results: every new request is a full generation. */
export class NoCache implements System {
  readonly #full: FullGeneration;

  constructor(full: FullGeneration) {
    this.#full = full;
  }

  async decide(request: BenchRequest): Promise<Decision> {
    return { hit: 'miss', work: fullWork(request, this.#full) };
  }

  recordedSteps(): readonly number[] {
    return [];
  }

  async store(): Promise<void> {}

  holdings(): Holdings {
    return { entries: 0, bytes: 0, bytesRead: 0 };
  }
}
