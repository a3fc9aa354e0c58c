/** Every page, whatever its origin. */
export const ANY_ORIGIN = '*';

/** Whether it is an origin as browsers send it (`https://app.example.com`, a port if it has one), or `*`. */
export function isCorsOrigin(text: string): boolean {
  if (text === ANY_ORIGIN) return true;
  return /^https?:/.test(text) && URL.canParse(text) && new URL(text).origin === text;
}
