import { beforeAll, describe, inject } from 'vitest';
import { motoIsReady } from './moto.ts';

/** A suite that runs against moto, or is skipped with the reason in its name. */
export function describeOnMoto(name: string, suite: (endpoint: string) => void): void {
  const { endpoint, missing } = inject('moto');
  if (endpoint === undefined) {
    describe.skip(`${name} (skipped: ${missing})`, () => suite(''));
    console.warn(`${name}: skipped, ${missing}`);
    return;
  }
  describe(name, () => {
    beforeAll(() => motoIsReady(endpoint));
    suite(endpoint);
  });
}
