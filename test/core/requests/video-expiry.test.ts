import { expect, it } from 'vitest';
import { videoExpiry } from '#core/requests/video-expiry.ts';

it('says of a video the midnight after its days are over', () => {
  const at = (date: string) => Date.parse(date) / 1000;
  expect(videoExpiry('2026-11-01T10:00:00.123Z', 30)).toBe(at('2026-12-02T00:00:00Z'));
  expect(videoExpiry('2026-11-01T00:00:00Z', 1)).toBe(at('2026-11-02T00:00:00Z'));
  expect(videoExpiry('2026-11-01T10:00:00Z', null)).toBeNull();
});
