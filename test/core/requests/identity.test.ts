import { describe, expect, it } from 'vitest';
import {
  attemptOfExecution,
  BACKFILL_ID_PATTERN,
  backfillIdForKey,
  compatibilityKey,
  exactKey,
  executionName,
  isSamePartition,
  packageDigits,
  partitionOf,
  requestCompatibilityKey,
  latentObjectKey,
  promptKey,
  randomVideoId,
  VIDEO_ID_PATTERN,
  videoIdForKey,
  videoIdOfExecution,
  videoObjectKeys,
} from '#core/requests/identity.ts';
import { codeOf } from '../code-of.ts';

const COMPATIBILITY = {
  modelRevision: 'revision',
  latent: { channels: 16, frames: 8, height: 16, width: 16 },
  scheduler: { type: 'rectified-flow', guidance: 3 },
};

const REQUEST = {
  prompt: 'a red ball',
  seed: 7,
  steps: 12,
  remixOf: null,
  scope: 'tenant' as const,
  tenant: 'default',
  compatibilityKey: 'compatibility',
};

describe('video ids', () => {
  it('are vid_ and 26 Crockford characters, random ones all different', () => {
    const ids = Array.from({ length: 100 }, randomVideoId);
    for (const id of ids) expect(id).toMatch(VIDEO_ID_PATTERN);
    expect(new Set(ids).size).toBe(100);
  });

  it('are the same for the same idempotency key of the same tenant', () => {
    expect(videoIdForKey('a', 'order-1')).toMatch(VIDEO_ID_PATTERN);
    expect(videoIdForKey('a', 'order-1')).toBe(videoIdForKey('a', 'order-1'));
  });

  it('differ between tenants and keys, also when their texts run together', () => {
    const ids = [
      videoIdForKey('a', 'order-1'),
      videoIdForKey('b', 'order-1'),
      videoIdForKey('a', 'order-2'),
      videoIdForKey('ao', 'rder-1'),
    ];
    expect(new Set(ids).size).toBe(ids.length);
  });

  it('refuse an empty idempotency key', () => {
    expect(codeOf(() => videoIdForKey('a', ''))).toBe('invalid_input');
  });
});

describe('backfill ids', () => {
  it('are bkf_ and 26 Crockford characters, the same for the same key of the same tenant', () => {
    const id = backfillIdForKey('a', 'order-1');
    expect(id).toMatch(BACKFILL_ID_PATTERN);
    expect(backfillIdForKey('a', 'order-1')).toBe(id);
    expect(backfillIdForKey('b', 'order-1')).not.toBe(id);
    expect(id.slice(4)).not.toBe(videoIdForKey('a', 'order-1').slice(4));
  });
});

describe('execution names', () => {
  const id = randomVideoId();

  it.each([
    [1, id],
    [2, `${id}-2`],
    [10, `${id}-10`],
  ])('of attempt %i read back', (attempt, name) => {
    expect(executionName(id, attempt)).toBe(name);
    expect(videoIdOfExecution(name)).toBe(id);
    expect(attemptOfExecution(name)).toBe(attempt);
  });

  it.each(['', 'generate', `${id}-`, `${id}-0`, `${id}-2x`])('%j is none', (name) => {
    expect(codeOf(() => videoIdOfExecution(name))).toBe('internal');
  });
});

describe('compatibilityKey', () => {
  it.each([
    { ...COMPATIBILITY, modelRevision: 'other' },
    { ...COMPATIBILITY, latent: { ...COMPATIBILITY.latent, frames: 4 } },
    { ...COMPATIBILITY, scheduler: { type: 'ddim', guidance: 3 } },
    { ...COMPATIBILITY, scheduler: { type: 'rectified-flow', guidance: 4 } },
    { ...COMPATIBILITY, negativePrompt: 'blurry' },
    { ...COMPATIBILITY, scheduler: { type: 'rectified-flow', guidance: 3, shift: 3 } },
    { ...COMPATIBILITY, scheduler: { type: 'rectified-flow', guidance: 3, sigmas: [1, 0.5, 0] } },
  ])('changes with %j', (other) => {
    expect(compatibilityKey(other)).not.toBe(compatibilityKey(COMPATIBILITY));
  });

  it('is a sha256', () => {
    expect(compatibilityKey(COMPATIBILITY)).toMatch(/^[0-9a-f]{64}$/);
  });
});

describe('requestCompatibilityKey', () => {
  const own = compatibilityKey(COMPATIBILITY);

  it("is the package's own unless the request departs from the package", () => {
    expect(requestCompatibilityKey(own, {})).toBe(own);
    expect(partitionOf(own, { scope: 'shared', tenant: 'acme' })).toEqual({
      compatibilityKey: own,
      scope: 'shared',
      tenant: 'acme',
    });
  });

  it('is another for each choice, and tells the package all the same', () => {
    const keys = [
      { guidanceScale: 4 },
      { guidanceScale: 5 },
      { negativePrompt: '' },
      { negativePrompt: 'blurry' },
      { guidanceScale: 4, negativePrompt: 'blurry' },
      { image: 'a'.repeat(64) },
      { image: 'b'.repeat(64) },
      { image: 'a'.repeat(64), negativePrompt: 'blurry' },
    ].map((choice) => requestCompatibilityKey(own, choice));
    expect(new Set([own, ...keys]).size).toBe(9);
    for (const key of keys) {
      expect(key).toMatch(/^[0-9a-f]{64}$/);
      expect(packageDigits(key)).toBe(packageDigits(own));
    }
  });
});

describe('request keys', () => {
  it('ignore the case and spacing of the prompt', () => {
    const shouted = { ...REQUEST, prompt: ' A RED  ball' };
    expect(exactKey(shouted)).toBe(exactKey(REQUEST));
    expect(promptKey(shouted)).toBe(promptKey(REQUEST));
  });

  it.each([
    ['prompt', 'a blue ball'],
    ['seed', 8],
    ['steps', 50],
    ['tenant', 'other'],
    ['scope', 'shared'],
    ['compatibilityKey', 'other'],
    ['remixOf', 'vid_0123456789ABCDEFGHJKMNPQRS'],
  ])('make another exact key of another %s', (field, value) => {
    expect(exactKey({ ...REQUEST, [field]: value })).not.toBe(exactKey(REQUEST));
  });

  it('make the same prompt key of any seed and steps, but not of another tenant', () => {
    expect(promptKey({ ...REQUEST, seed: 8, steps: 50 } as typeof REQUEST)).toBe(
      promptKey(REQUEST),
    );
    expect(promptKey({ ...REQUEST, tenant: 'other' })).not.toBe(promptKey(REQUEST));
  });

  it('are those of nobody in particular in the shared scope', () => {
    const shared = { ...REQUEST, scope: 'shared' as const };
    const other = { ...shared, tenant: 'other' };
    expect(exactKey(other)).toBe(exactKey(shared));
    expect(promptKey(other)).toBe(promptKey(shared));
    expect(promptKey(shared)).not.toBe(promptKey(REQUEST));
    expect(isSamePartition(shared, other)).toBe(true);
    expect(isSamePartition(REQUEST, { ...REQUEST, tenant: 'other' })).toBe(false);
    expect(isSamePartition(REQUEST, shared)).toBe(false);
  });
});

describe('object keys', () => {
  it('carry the first 16 hexadecimal digits of the sha256 of the content', () => {
    const content = new TextEncoder().encode('abc');
    expect(latentObjectKey('vid_1', content)).toBe('latents/vid_1/ba7816bf8f01cfea.fcl');
    expect(videoObjectKeys('vid_1', content)).toEqual({
      videoKey: 'videos/vid_1/ba7816bf8f01cfea.mp4',
      animationKey: 'videos/vid_1/ba7816bf8f01cfea.webp',
      posterKey: 'videos/vid_1/ba7816bf8f01cfea.png',
      spritesheetKey: 'videos/vid_1/ba7816bf8f01cfea.jpg',
    });
  });
});
