import type { TestProject } from 'vitest/node';
import { startMoto, type MotoState } from './moto.ts';

declare module 'vitest' {
  interface ProvidedContext {
    moto: MotoState;
  }
}

/** Starts moto once, without waiting for it: only the tests that use it do. */
export async function setup(project: TestProject): Promise<() => void> {
  const { state, stop } = await startMoto();
  project.provide('moto', state);
  return stop;
}
