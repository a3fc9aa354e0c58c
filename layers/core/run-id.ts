import { randomUUID } from 'node:crypto';

const CHARACTERS = 12;

/**
 * Names one run of a step in a ledger; no two of one video are alike.
 *
 * @param requestId of the call in which it runs: its beginning is the name, so that its log is found;
 * made up unless given
 */
export function newRunId(requestId: string = randomUUID()): string {
  return requestId.replaceAll('-', '').slice(0, CHARACTERS);
}
