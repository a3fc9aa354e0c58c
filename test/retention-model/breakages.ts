import { UpdateItemCommand } from '@aws-sdk/client-dynamodb';
import type { ObjectHead } from '#ports/objects.ts';
import type { Table } from '#ports/table.ts';
import { evictor } from './cast.ts';
import { without, WRITER, writing } from './beginnings.ts';
import { scenarioNamed } from './scenarios.ts';
import type { Breakage, Scenario } from './scenario.ts';
import type { Stores } from './world.ts';

/** A protocol that is broken on purpose, where that shows, and what is then seen. */
export interface Broken {
  name: string;
  scenario: Scenario;
  /** What the fault says. */
  shows: RegExp;
}

const NO_LIVE_LEASE =
  '(attribute_not_exists(#holders) OR attribute_not_exists(#leaseUntil) OR #leaseUntil <= :now)';

/** Leaves a part of the conditions of moves out. */
function withoutCondition(condition: string): Breakage {
  return {
    rewrite(command) {
      if (!(command instanceof UpdateItemCommand)) return command;
      const { ConditionExpression: whole = '' } = command.input;
      if (!whole.includes(` AND ${condition}`)) return command;
      const rest = whole.replace(` AND ${condition}`, '');
      return new UpdateItemCommand({ ...command.input, ConditionExpression: rest });
    },
  };
}

/** The table of some actors, with methods replaced. */
function tableOf(
  isTheirs: (name: string) => boolean,
  replaced: (stores: Stores) => Partial<Table>,
): Breakage {
  return {
    replace: (stores, { name }) =>
      isTheirs(name) ? { table: changed(stores.table, replaced(stores)) } : {},
  };
}

/** `target` with some of its methods replaced. */
function changed<Target extends object>(target: Target, replaced: Partial<Target>): Target {
  return new Proxy(target, {
    get(_, name) {
      const other = Reflect.get(replaced, name) as unknown;
      if (other !== undefined) return other;
      const value = Reflect.get(target, name, target) as unknown;
      return typeof value === 'function' ? (value.bind(target) as unknown) : value;
    },
  });
}

const isEvicting = (name: string): boolean => /evictor|finisher/.test(name);

/** What leaves seems to be leaving since ever. */
function withoutTime(state: 'EVICTING' | 'TOMBSTONE'): Breakage {
  return tableOf(isEvicting, ({ table }) => ({
    async *leavingEntries() {
      for await (const entry of table.leavingEntries()) {
        yield entry.state === state ? { ...entry, leavingAt: 0 } : entry;
      }
    },
    async *scanEntries() {
      for await (const entry of table.scanEntries()) {
        yield entry.state === state ? { ...entry, leavingAt: 0 } : entry;
      }
    },
  }));
}

/** Latents go before the vectors of their entries. */
const latentsFirst: Breakage = {
  replace: ({ vectors }, { name }) =>
    isEvicting(name) ? { vectors: changed(vectors, { delete: async () => {} }) } : {},
};

/** The sweep believes what it saw first. */
const withoutSecondLook: Breakage = {
  replace({ table, objects }, { name }) {
    if (!name.startsWith('sweeper')) return {};
    const entries = new Map<string, Awaited<ReturnType<Table['getEntry']>>>();
    const heads = new Map<string, ObjectHead>();
    return {
      table: changed(table, {
        async *scanEntries() {
          for await (const entry of table.scanEntries()) {
            entries.set(entry.entryId, entry);
            yield entry;
          }
        },
        getEntry: async (entryId) => entries.get(entryId) ?? null,
        getJob: async () => null,
      }),
      objects: changed(objects, {
        async *list(prefix) {
          for await (const head of objects.list(prefix)) {
            heads.set(head.key, head);
            yield head;
          }
        },
        head: async (key) => heads.get(key) ?? null,
      }),
    };
  },
};

export const BREAKAGES: readonly Broken[] = [
  {
    name: 'entries are moved out whoever has a lease',
    scenario: { ...scenarioNamed('reader, evictor'), breakage: withoutCondition(NO_LIVE_LEASE) },
    shows: /leaves READY while .* a lease/,
  },
  {
    name: 'entries are moved out though they were hit after they were weighed',
    scenario: { ...scenarioNamed('reader, evictor'), breakage: withoutCondition('#hits = :hits') },
    shows: /hit it after it was evaluated/,
  },
  {
    name: 'entries are moved out though they are pinned',
    scenario: {
      ...scenarioNamed('pinner, evictor'),
      breakage: withoutCondition('attribute_not_exists(#pinnedAt)'),
    },
    shows: /evicted while it is pinned/,
  },
  {
    name: 'latents go before vectors',
    scenario: { ...scenarioNamed('writer, evictor'), breakage: latentsFirst },
    shows: /deleted before its vectors/,
  },
  {
    name: 'latents go without a grace period',
    scenario: {
      ...scenarioNamed(
        'worker leased by a clock behind, evictor with a clock ahead, another behind',
      ),
      breakage: withoutTime('EVICTING'),
    },
    shows: /is gone while it is leased/,
  },
  {
    name: 'tombstones do not stay',
    scenario: {
      ...scenarioNamed('late commit, evictor'),
      breakage: withoutTime('TOMBSTONE'),
    },
    shows: /is READY without its latent/,
  },
  {
    name: 'entries are written before their latents',
    scenario: {
      name: 'writer that answers early, evictor',
      fill: without(WRITER),
      cast: (world) => {
        const execution = writing(world);
        return [
          execution.lookupState('writer'),
          execution.worker('writer worker', 0, { answersEarly: true }),
          execution.commit('writer'),
          evictor(),
        ];
      },
      mostCrashes: 1,
    },
    shows: /is READY without its latent/,
  },
  {
    name: 'the sweep does not look a second time',
    scenario: {
      ...scenarioNamed('writer and a second worker a day later, sweeper'),
      breakage: withoutSecondLook,
    },
    shows: /is READY without its latent|the video .* is gone/,
  },
];
