import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { SharedTime } from '#denoiser/shared-time.ts';

let milliseconds = 0;

describe('SharedTime', () => {
  beforeEach(() => void vi.spyOn(performance, 'now').mockImplementation(() => milliseconds));
  afterEach(() => void vi.restoreAllMocks());

  it('gives a message that is alone all of the time', () => {
    const time = new SharedTime();
    milliseconds += 500;
    time.begin();
    const since = time.now();
    milliseconds += 30;

    expect(time.now() - since).toBe(30);
  });

  it('divides the time among those that are there, so that the shares add up to it', () => {
    // Prepare
    const time = new SharedTime();
    const shares: number[] = [];
    const begin = (): number => {
      time.begin();
      return time.now();
    };
    const end = (since: number): void => {
      shares.push(time.now() - since);
      time.end();
    };

    // Act: 10 alone, 20 for two, 30 for three, 8 for two, nobody for 100, 5 alone.
    const one = begin();
    milliseconds += 10;
    const two = begin();
    milliseconds += 20;
    const three = begin();
    milliseconds += 30;
    end(one);
    milliseconds += 8;
    end(two);
    end(three);
    milliseconds += 100;
    const four = begin();
    milliseconds += 5;
    end(four);

    // Assess
    expect(shares).toEqual([10 + 10 + 10, 10 + 10 + 4, 10 + 4, 5]);
    expect(shares.reduce((sum, share) => sum + share, 0)).toBe(10 + 20 + 30 + 8 + 5);
    expect(time.messages).toBe(0);
  });
});
