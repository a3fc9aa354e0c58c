import type { LookupPart } from '#core/generation.ts';
import type { SimulatedEntry } from './simulated-entry.ts';
import type { VectorSpace } from './vector-space.ts';

export interface Found {
  entry: SimulatedEntry;
  similarity: number;
}

/** The vectors of one part of one partition that a simulated cache holds. */
export class PartIndex {
  readonly #part: LookupPart;
  readonly #space: VectorSpace;
  /** Entries by vector index, oldest first. */
  readonly #entries: (SimulatedEntry[] | undefined)[] = [];

  constructor(part: LookupPart, space: VectorSpace) {
    this.#part = part;
    this.#space = space;
  }

  add(vector: number, entry: SimulatedEntry): void {
    this.#space.holdAgain(vector);
    const held = this.#entries[vector];
    if (held === undefined) this.#entries[vector] = [entry];
    else held.push(entry);
  }

  delete(vector: number, entry: SimulatedEntry): void {
    const held = this.#entries[vector]!;
    if (held.length === 1) this.#entries[vector] = undefined;
    else held.splice(held.indexOf(entry), 1);
    this.#space.release(vector);
  }

  /** Returns the nearest entries, nearest first; of equal ones the newest first. */
  nearest(vector: number, limit: number): Found[] {
    const { count, ids, similarities } = this.#space.neighboursOf(vector);
    const found: Found[] = [];
    for (let index = 0; index < count; index++) {
      const held = this.#entries[ids[index]!];
      if (held === undefined) continue;
      // An identical prompt is recognized by its text, whatever its video shows.
      const isSamePrompt = this.#part === 'whole' && ids[index] === vector;
      for (let last = held.length - 1; last >= 0; last--) {
        const entry = held[last]!;
        const similarity = isSamePrompt ? 1 : similarities[index]! * entry.shown[this.#part];
        if (similarity < this.#space.least) continue;
        if (found.length === limit && found[limit - 1]!.similarity >= similarity) continue;
        if (found.length === limit) found.pop();
        let place = found.length;
        while (place > 0 && found[place - 1]!.similarity < similarity) place--;
        found.splice(place, 0, { entry, similarity });
      }
    }
    return found;
  }
}
