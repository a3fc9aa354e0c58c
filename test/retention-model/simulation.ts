import { FlexCacheError } from '#core/errors.ts';
import { Life, settled } from './life.ts';
import { BEGINNING, onClock } from './model-clock.ts';
import type { Actor, Choice, Scenario } from './scenario.ts';
import { Violation, Watch } from './watch.ts';
import { World } from './world.ts';

interface Part {
  actor: Actor;
  life: Life | null;
  begun: number;
  /** Nothing more comes of it. */
  isOver: boolean;
  seen: Map<string, ReadonlySet<string>>;
  /** Entries whose vectors it has deleted in this life. */
  unindexed: Set<string>;
}

/** Worlds as scenarios begin in. */
const beginnings = new WeakMap<Scenario, World>();

/** One run of a scenario under a schedule that is chosen step by step. */
export class Simulation {
  readonly world: World;
  /** What has happened, a line a step. */
  readonly schedule: string[] = [];
  readonly #scenario: Scenario;
  readonly #watch: Watch;
  readonly #parts: readonly Part[];
  #waits = 0;
  #crashes = 0;
  /** Who acted last. */
  last = -1;

  private constructor(scenario: Scenario, world: World, actors: readonly Actor[]) {
    this.world = world;
    this.#scenario = scenario;
    this.#watch = new Watch(world, { mayLoseLatents: false, ...scenario.rules });
    this.#parts = actors.map((actor) => ({
      actor,
      life: null,
      begun: 0,
      isOver: false,
      seen: new Map<string, ReadonlySet<string>>(),
      unindexed: new Set<string>(),
    }));
  }

  static async begin(scenario: Scenario): Promise<Simulation> {
    let filled = beginnings.get(scenario);
    if (filled === undefined) {
      const empty = new World();
      await onClock(empty.clock, async () => scenario.fill?.(empty));
      beginnings.set(scenario, empty);
      filled = empty;
    }
    const world = new World(filled);
    return new Simulation(scenario, world, scenario.cast(world));
  }

  /** What may happen next. First comes whoever acted last; none means that all has ended. */
  choices(): Choice[] {
    const going: Choice[] = this.#parts.flatMap((part, actor) =>
      this.#mayGo(part) ? [{ kind: 'go' as const, actor, request: 0 }] : [],
    );
    if (going.length === 0) return [];
    going.sort((one, other) => Number(this.#isLast(other)) - Number(this.#isLast(one)));
    const { waits = [], mostWaits = 0, mostCrashes = 0 } = this.#scenario;
    if (this.#crashes < mostCrashes) {
      this.#parts.forEach(({ life }, actor) => {
        if (life?.isRunning) going.push({ kind: 'crash', actor });
      });
    }
    if (this.#waits < mostWaits) {
      going.push(...waits.map((milliseconds) => ({ kind: 'wait' as const, milliseconds })));
    }
    return going;
  }

  /** Other orders of what one actor asks at once. */
  requestsOf(actor: number): number {
    return Math.max(1, this.#parts[actor]!.life?.waiting.length ?? 1);
  }

  /** Whether the one who acted last could go on. */
  get isLastGoing(): boolean {
    const part = this.#parts[this.last];
    return part !== undefined && this.#mayGo(part);
  }

  /** @throws Violation */
  async take(choice: Choice): Promise<void> {
    if (choice.kind === 'wait') return this.#wait(choice.milliseconds);
    const part = this.#parts[choice.actor]!;
    this.last = choice.actor;
    if (choice.kind === 'crash') {
      this.#crashes++;
      this.#say(part, `is killed before: ${part.life!.waiting.join(' | ')}`);
      return this.#kill(part);
    }
    await this.#go(part, choice.request);
  }

  /** Equal for two runs that have the same future, whoever acted last. */
  get place(): string {
    const parts = this.#parts.map(({ life, begun, isOver }) => [begun, isOver, life?.place ?? '']);
    return JSON.stringify([this.world.place, this.#watch.place, this.#waits, this.#crashes, parts]);
  }

  /** Equal for two ends that leave the same behind. */
  get remains(): string {
    return this.world.place + this.#watch.place;
  }

  #isLast(choice: Choice): boolean {
    return choice.kind === 'go' && choice.actor === this.last;
  }

  #mayGo({ actor, life, isOver }: Part): boolean {
    if (isOver) return false;
    return life === null ? (actor.isReady?.() ?? true) : life.isRunning;
  }

  async #go(part: Part, request: number): Promise<void> {
    const { actor } = part;
    const { world } = this;
    world.skew = actor.skew ?? 0;
    await onClock(world.clock, async () => {
      if (part.life === null) await this.#beginLife(part);
      const life = part.life!;
      const label = life.waiting[request];
      if (label !== undefined) {
        this.#say(part, label);
        await life.let(request);
        this.#noteSeen(part, label);
        noteOrder(part, label);
        this.#watch.look({ isEvictor: actor.isEvictor ?? false, seen: part.seen });
      }
      if (!life.isRunning) this.#end(part, life);
    });
  }

  async #beginLife(part: Part): Promise<void> {
    const life = new Life();
    part.life = life;
    part.begun++;
    part.unindexed.clear();
    const { breakage } = this.#scenario;
    const stores = this.world.storesOf(life, breakage?.rewrite);
    const used = { ...stores, ...breakage?.replace?.(stores, part.actor) };
    life.begin(() => part.actor.run(used));
    await settled();
  }

  /** What it read last is what it may act on. */
  #noteSeen(part: Part, label: string): void {
    if (!/^(query entries-by-state|scan ENTRY|read ENTRY)/.test(label)) return;
    for (const { entryId } of this.world.entries) {
      if (label.startsWith('read') && !label.includes(entryId)) continue;
      part.seen.set(entryId, this.#watch.hitsOf(entryId));
    }
  }

  #end(part: Part, { error }: Life): void {
    part.isOver = true;
    if (error === undefined) return;
    if (error instanceof Violation) throw error;
    const isExpected =
      error instanceof FlexCacheError || (error as Error).cause instanceof FlexCacheError;
    if (!isExpected) {
      throw new Violation(`${part.actor.name} fails: ${(error as Error).stack}`);
    }
    this.#say(part, `ends: ${(error as Error).message}`);
  }

  #wait(milliseconds: number): void {
    this.#waits++;
    this.world.now += milliseconds;
    this.schedule.push(`${' '.repeat(10)}… ${Math.round(milliseconds / 60_000)} minutes pass`);
    for (const part of this.#parts) {
      if (part.isOver) continue;
      const isInTime = (part.actor.lastsUntil?.() ?? -Infinity) >= this.world.now;
      if (part.life?.isRunning && !isInTime) {
        this.#say(part, `is cut off before: ${part.life.waiting.join(' | ')}`);
        this.#kill(part);
      }
    }
  }

  #kill(part: Part): void {
    part.life!.kill();
    if (part.begun > (part.actor.restarts ?? 0)) part.isOver = true;
    else part.life = null;
  }

  #say({ actor }: Part, what: string): void {
    const minutes = Math.round((this.world.now - BEGINNING) / 60_000);
    this.schedule.push(`${String(minutes).padStart(6)} min  ${actor.name.padEnd(12)} ${what}`);
  }
}

/** Whoever evicts an entry takes it out of the index before its latent goes. */
function noteOrder({ actor, unindexed }: Part, label: string): void {
  const [what, , key = ''] = label.split(' ');
  if (what !== 'delete') return;
  if (label.startsWith('delete vectors')) for (const id of key.split(',')) unindexed.add(id);
  const [prefix, entryId = ''] = key.split('/');
  if (prefix !== 'latents' || !actor.finishesEvictions || unindexed.has(entryId)) return;
  throw new Violation(`the latent of ${entryId} is deleted before its vectors`);
}
