import { describe, expect, it } from 'vitest';
import { InvalidInputError } from '#core/errors.ts';
import { MAX_SEED, MAX_STEPS, validateRequest, type RawRequest } from '#core/requests/request.ts';

const VALID: RawRequest = {
  videoId: 'vid_0123456789ABCDEFGHJKMNPQRS',
  prompt: ' A red  ball ',
  seed: 0,
  cache: 'auto',
  steps: 12,
  tenant: 'default',
  scope: 'tenant',
  minSimilarity: 0,
  maxReuse: 1,
  remixOf: null,
  pool: 'interactive',
};

describe('validateRequest', () => {
  it('returns the request with its prompt normalised', () => {
    expect(validateRequest(VALID)).toEqual({ ...VALID, prompt: 'A red ball' });
  });

  it.each([
    ['seed', 0],
    ['seed', MAX_SEED],
    ['steps', 1],
    ['steps', MAX_STEPS],
    ['cache', 'off'],
    ['cache', 'readonly'],
    ['cache', 'refresh'],
    ['tenant', 'a'],
    ['tenant', `A-b_${'9'.repeat(60)}`],
    ['scope', 'shared'],
    ['minSimilarity', 1],
    ['minSimilarity', 0.25],
    ['maxReuse', 0],
    ['maxReuse', 0.5],
    ['remixOf', 'vid_0123456789ABCDEFGHJKMNPQRT'],
    ['pool', 'backfill'],
  ])('takes %s %j', (field, value) => {
    expect(validateRequest({ ...VALID, [field]: value })).toHaveProperty(field, value);
  });

  it.each([
    ['videoId', 'vid_short'],
    ['videoId', 'vid_0123456789ABCDEFGHIKMNPQRS'],
    ['videoId', undefined],
    ['prompt', ''],
    ['seed', -1],
    ['seed', 0.5],
    ['seed', MAX_SEED + 1],
    ['seed', '7'],
    ['seed', NaN],
    ['steps', 0],
    ['steps', MAX_STEPS + 1],
    ['steps', Infinity],
    ['steps', null],
    ['cache', 'on'],
    ['cache', undefined],
    ['tenant', ''],
    ['tenant', 'a/b'],
    ['tenant', '-a'],
    ['tenant', 'a\n'],
    ['tenant', 'a'.repeat(65)],
    ['scope', 'everybody'],
    ['scope', undefined],
    ['minSimilarity', -0.1],
    ['minSimilarity', 1.1],
    ['minSimilarity', '0.5'],
    ['minSimilarity', NaN],
    ['maxReuse', 2],
    ['maxReuse', null],
    ['remixOf', 'vid_short'],
    ['remixOf', undefined],
    ['pool', 'spot'],
    ['pool', null],
  ])('refuses %s %j and names the field', (field, value) => {
    const validate = (): unknown => validateRequest({ ...VALID, [field]: value });
    expect(validate).toThrow(InvalidInputError);
    expect(validate).toThrow(expect.objectContaining({ field, fix: expect.any(String) }));
  });

  it.each(['off', 'refresh'])('refuses a remix in cache mode %s', (cache) => {
    const remixOf = 'vid_0123456789ABCDEFGHJKMNPQRT';
    expect(() => validateRequest({ ...VALID, remixOf, cache })).toThrow(
      expect.objectContaining({ code: 'invalid_input', field: 'remixOf' }),
    );
  });

  it('shows only the beginning of a very long wrong value', () => {
    try {
      validateRequest({ ...VALID, tenant: 'x'.repeat(1_000_000) });
      expect.unreachable();
    } catch (error) {
      expect(String(error).length).toBeLessThan(200);
    }
  });
});
