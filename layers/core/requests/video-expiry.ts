const DAY_SECONDS = 86_400;

/**
 * When a video file is deleted that is kept for so many days: a lifecycle rule of S3 takes objects at
 * the midnight, UTC, after their days are over (docs.aws.amazon.com/AmazonS3/latest/userguide,
 * "Lifecycle rules: Based on an object's age").
 *
 * @param madeAt ISO 8601, when the file was written
 * @param days null where videos are kept
 * @returns Unix time, seconds; null: never
 * @example
 * videoExpiry('2026-11-01T10:00:00Z', 30); // midnight at the beginning of 2026-12-02
 */
export function videoExpiry(madeAt: string, days: number | null): number | null {
  if (days === null) return null;
  const over = Date.parse(madeAt) / 1000 + days * DAY_SECONDS;
  return Math.ceil(over / DAY_SECONDS) * DAY_SECONDS;
}
