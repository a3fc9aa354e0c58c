import { describe, expect, it } from 'vitest';
import { startPoint } from '#core/planning/calibration.ts';
import type { Entry, GenerationRequest } from '#core/generation.ts';
import { decayedTo } from '#core/retention/decay.ts';
import { createLookupHandler } from '#functions/lookup/handler.ts';
import type { Services } from '#functions/shared/services.ts';
import type { Table } from '#ports/table.ts';
import { unique } from '../aws/samples.ts';
import {
  FakeVectors,
  lookupInput,
  servicesOn,
  storedEntry,
  submit,
  tableWith,
  useTable,
} from './fixture.ts';

/** So many that every start of the default calibration saves one at least. */
const FULL_STEPS = 20;
/** Of the default calibration. */
const STEPS = { whole: 6, pair: 14, object: 18, background: 19 };

const table = useTable();

/** What a result of reuse depth 1 is worth less than that of a full generation. */
const LOST_AS_DONOR = (0.4 * FULL_STEPS) / 9;

/** Network evaluations that the hits of an entry have saved so far. */
async function creditOf({ entryId }: Entry): Promise<number> {
  const { decayedCredit = 0 } = (await table().getEntry(entryId))!;
  return Math.round(decayedTo(decayedCredit, Date.now()) * 1000) / 1000;
}

async function hitsOf({ entryId }: Entry): Promise<number> {
  return (await table().getEntry(entryId))!.hits;
}

function ask(changes: Partial<GenerationRequest> = {}): Promise<GenerationRequest> {
  return submit(table(), { steps: FULL_STEPS, ...changes });
}

/** An entry that was made in full. */
function made(of?: GenerationRequest): Promise<Entry> {
  return storedEntry(table(), { stepsRun: FULL_STEPS }, of);
}

function proposing(part: 'object' | 'background', entry: Entry, vectors: FakeVectors): void {
  (vectors.matches[part] ??= []).push({ entryId: entry.entryId, similarity: 0.9 });
}

/** Entries of this id give no lease. */
function refusing({ entryId }: Entry): Table {
  return tableWith(table(), {
    leaseEntry: (lease) =>
      lease.entryId === entryId ? Promise.resolve(null) : table().leaseEntry(lease),
  });
}

describe('what a hit is worth', () => {
  it('is what would be run more without the donor', async () => {
    const request = await ask({ prompt: unique('credit ') });
    const entry = await made({ ...request, seed: 1 });

    const { neighbours } = await createLookupHandler(servicesOn(table()))(lookupInput(request));

    expect(await creditOf(entry)).toBeCloseTo(FULL_STEPS - STEPS.whole - LOST_AS_DONOR, 3);
    expect(neighbours).toBe(1);
  });

  it('is nothing where the next donor is as good', async () => {
    const request = await ask({ prompt: unique('twins ') });
    const twins = [await made({ ...request, seed: 1 }), await made({ ...request, seed: 2 })];

    const output = await createLookupHandler(servicesOn(table()))(lookupInput(request));

    expect(output.plan.hit).toBe('whole');
    expect(output.neighbours).toBe(2);
    expect(await Promise.all(twins.map(hitsOf))).toEqual(expect.arrayContaining([0, 1]));
    expect(await Promise.all(twins.map(creditOf))).toEqual([0, 0]);
  });

  it('is for each donor of a pair what the other alone would run more', async () => {
    const request = await ask();
    const [object, background] = [await made(), await made()];
    const vectors = new FakeVectors();
    proposing('object', object, vectors);
    proposing('background', background, vectors);

    await createLookupHandler(servicesOn(table(), vectors))(lookupInput(request));

    expect(await creditOf(object)).toBe(STEPS.background - STEPS.pair);
    expect(await creditOf(background)).toBe(STEPS.object - STEPS.pair);
  });

  it.each([
    ['everything, where it is the only video of its prompt', false, FULL_STEPS],
    ['what starting from another seed would run', true, STEPS.whole],
  ])('is for an exact answer %s', async (_, hasOtherSeed, credit) => {
    const request = await ask({ prompt: unique('exact ') });
    const entry = await made(request);
    if (hasOtherSeed) await made({ ...request, seed: request.seed + 1 });

    const output = await createLookupHandler(servicesOn(table()))(lookupInput(request));

    expect(output.plan.hit).toBe('exact');
    expect(output).not.toHaveProperty('neighbours');
    expect(await creditOf(entry)).toBe(credit);
  });

  it('is counted once, whatever often the state is tried', async () => {
    const request = await ask({ prompt: unique('retried ') });
    const entry = await made({ ...request, seed: 1 });
    const lookup = createLookupHandler(servicesOn(table()));

    await lookup(lookupInput(request));
    await lookup(lookupInput(request));

    expect(await creditOf(entry)).toBeCloseTo(FULL_STEPS - STEPS.whole - LOST_AS_DONOR, 3);
  });

  it('is that of the last plan: a donor that stays when another is refused is worth more', async () => {
    const request = await ask();
    const [object, background] = [await made(), await made()];
    const vectors = new FakeVectors();
    proposing('object', object, vectors);
    proposing('background', background, vectors);

    const { plan } = await createLookupHandler(servicesOn(refusing(background), vectors))(
      lookupInput(request),
    );

    expect(plan.hit).toBe('object');
    expect(await hitsOf(object)).toBe(1);
    expect(await creditOf(object)).toBeCloseTo(FULL_STEPS - STEPS.object - LOST_AS_DONOR, 3);
    expect((await table().getEntry(object.entryId))!.leaseUntil).toBeGreaterThan(Date.now());
  });

  it('is taken back with the hit where the plan came to nothing', async () => {
    const request = await ask();
    const [object, background] = [await made(), await made()];
    const vectors = new FakeVectors();
    proposing('object', object, vectors);
    proposing('background', background, vectors);
    const pairsOnly: Services['calibration'] = {
      fullSolver: 'euler',
      maxReuseDepth: 3,
      admits: () => true,
      decide: (kind) => (kind === 'object+background' ? startPoint(0.7, 5) : null),
    };

    const { plan, neighbours } = await createLookupHandler({
      ...servicesOn(refusing(background), vectors),
      calibration: pairsOnly,
    })(lookupInput(request));

    expect(plan.hit).toBe('miss');
    expect(neighbours).toBe(2);
    expect([await hitsOf(object), await creditOf(object)]).toEqual([0, 0]);
  });

  it('is unknown of a request that looks for nothing, and so are its neighbours', async () => {
    const request = await ask({ prompt: unique('fresh '), cache: 'refresh' });
    await made({ ...request, seed: 1 });

    const output = await createLookupHandler(servicesOn(table()))(lookupInput(request));

    expect(output).not.toHaveProperty('neighbours');
  });
});
