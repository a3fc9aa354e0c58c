import type { Rules } from './watch.ts';
import type { Stores, World } from './world.ts';

/** Somebody who uses the stores: a function, a worker, a person. */
export interface Actor {
  name: string;
  run: (stores: Stores) => Promise<void>;
  /** Whether it may begin; always unless said. */
  isReady?: () => boolean;
  /** How often it begins anew when it was killed; 0 unless said. */
  restarts?: number;
  /** Until when, true time, it works on while time passes; killed by any wait unless said. */
  lastsUntil?: () => number;
  /** How far its clock is ahead, milliseconds. */
  skew?: number;
  /** Evicts by choice. */
  isEvictor?: boolean;
  /** Deletes latents of entries that are leaving. */
  finishesEvictions?: boolean;
}

export interface Scenario {
  name: string;
  /** What is in the stores at the beginning. */
  fill?: (world: World) => Promise<void>;
  /** Who is there. */
  cast: (world: World) => Actor[];
  /** How long may pass at once, milliseconds. */
  waits?: readonly number[];
  /** How often time passes at most. */
  mostWaits?: number;
  /** How many are killed at most. */
  mostCrashes?: number;
  rules?: Partial<Rules>;
  breakage?: Breakage;
  /** What must hold when everything has ended and was swept, beside what always must. */
  atEnd?: (world: World) => void;
}

/** How the protocol is broken on purpose. */
export interface Breakage {
  /** What becomes of a request to the table. */
  rewrite?: (command: unknown) => unknown;
  /** What becomes of an actor's stores. */
  replace?: (stores: Stores, actor: Actor) => Partial<Stores>;
}

export type Choice =
  /** Lets the request of an actor through; of one that has not begun, its first. */
  | { kind: 'go'; actor: number; request: number }
  | { kind: 'crash'; actor: number }
  | { kind: 'wait'; milliseconds: number };
