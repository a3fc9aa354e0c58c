import { describe, expect, it } from 'vitest';
import { choiceOf, seedOfVideo, videosOf, type Choice } from '#core/requests/capabilities.ts';
import { SAMPLE_CAPABILITIES } from '../../aws/samples.ts';

const NEGATIVE = 'blurry, low quality';

describe('choiceOf', () => {
  it.each<[Choice, Choice]>([
    [{}, {}],
    [{ size: '384x384', width: 384, height: 384, numFrames: 16, fps: 8, n: 10 }, {}],
    [{ guidanceScale: 3, negativePrompt: '  ' }, {}],
    [{ guidanceScale: 4.5 }, { guidanceScale: 4.5 }],
    [{ guidanceScale: 1 }, { guidanceScale: 1 }],
    [{ negativePrompt: ' blurry,  low quality' }, { negativePrompt: NEGATIVE }],
  ])('keeps of %j what departs from the package: %j', (asked, chosen) => {
    expect(choiceOf(asked, SAMPLE_CAPABILITIES)).toEqual(chosen);
  });

  it("tells the package's own negative prompt from none, however it is spaced", () => {
    const own = { ...SAMPLE_CAPABILITIES, negativePrompt: 'blurry ,\u3000low quality' };
    expect(choiceOf({ negativePrompt: 'blurry , low quality' }, own)).toEqual({});
    expect(choiceOf({ negativePrompt: '' }, own)).toEqual({ negativePrompt: '' });
  });

  it.each<[Choice, string, string]>([
    [{ size: '1280x720' }, 'size', '"384x384"'],
    [{ width: 640 }, 'width', '384'],
    [{ height: 640 }, 'height', '384'],
    [{ numFrames: 81 }, 'numFrames', '16'],
    [{ fps: 24 }, 'fps', '8'],
    [{ n: 11 }, 'n', 'at most 10 videos'],
    [{ n: 0 }, 'n', 'at most 10 videos'],
    [{ n: 1.5 }, 'n', 'at most 10 videos'],
    [{ guidanceScale: 0.5 }, 'guidanceScale', 'from 1 to 20'],
    [{ guidanceScale: 1, negativePrompt: NEGATIVE }, 'negativePrompt', 'above 1'],
    [{ negativePrompt: 'x'.repeat(2001) }, 'negativePrompt', '2000'],
  ])('refuses %j by the name %s, with what to do: %s', (asked, field, fix) => {
    expect(() => choiceOf(asked, SAMPLE_CAPABILITIES)).toThrow(
      expect.objectContaining({ field, fix: expect.stringContaining(fix) }),
    );
  });

  it.each<[Choice, string]>([
    [{ guidanceScale: 3 }, 'guidanceScale'],
    [{ negativePrompt: NEGATIVE }, 'negativePrompt'],
  ])('refuses %j of a model without guidance', (asked, field) => {
    const unguided = { ...SAMPLE_CAPABILITIES, guidanceScale: 1 };
    expect(() => choiceOf(asked, unguided)).toThrow(
      expect.objectContaining({
        field,
        message: expect.stringContaining('sample-world is a model without'),
      }),
    );
    expect(choiceOf({ guidanceScale: 1, negativePrompt: '' }, unguided)).toEqual({});
  });

  it('keeps a first image where the package takes one, and refuses it by name elsewhere', () => {
    const image = 'a'.repeat(64);

    expect(choiceOf({ image }, { ...SAMPLE_CAPABILITIES, firstImage: true })).toEqual({ image });
    expect(() => choiceOf({ image }, SAMPLE_CAPABILITIES)).toThrow(
      expect.objectContaining({
        field: 'image',
        message: expect.stringContaining('sample-world makes videos of a prompt alone'),
        fix: expect.stringContaining('leave the image out'),
      }),
    );
  });
});

describe('videosOf', () => {
  it('is one unless said', () => {
    expect([videosOf({}), videosOf({ n: 1 }), videosOf({ n: 7 })]).toEqual([1, 1, 7]);
  });
});

describe('seedOfVideo', () => {
  it('counts up, and begins at 0 behind the last seed', () => {
    expect([0, 1, 2].map((place) => seedOfVideo(2 ** 32 - 2, place))).toEqual([
      2 ** 32 - 2,
      2 ** 32 - 1,
      0,
    ]);
  });
});
