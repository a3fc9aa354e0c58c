import { readFile } from 'node:fs/promises';
import { uptime } from 'node:os';
import type { WorkerEvent } from './worker.ts';

/** Linux makes it up at every boot; containers see their host's. */
const BOOT_ID = '/proc/sys/kernel/random/boot_id';

/** A machine that was up for longer was there for something else. */
const MAX_BOOT_SECONDS = 30 * 60;

const CLAIM_IS_KEPT_SECONDS = 30 * 86_400;

/** Who was first on a machine. */
export interface MachineClaims {
  claimMachine(machineId: string, workerId: string, expiresAt: number): Promise<boolean>;
}

/** How long ago a machine was booted, seconds, and what that boot is called; null where nobody says. */
export interface Boot {
  sinceBoot: number;
  bootId: string | null;
}

/**
 * How long it took until this worker was ready, which it is now: from the boot of its machine for the
 * first worker on it, from the start of the process for the others. Between two workers of a machine
 * nobody measures.
 *
 * @param boot asked of the machine unless given
 */
export async function coldStartSeconds(
  claims: MachineClaims,
  workerId: string,
  log: (event: WorkerEvent) => void,
  boot?: Boot,
): Promise<number> {
  const { sinceBoot, bootId } = boot ?? { sinceBoot: uptime(), bootId: await readBootId() };
  const sinceStart = process.uptime();
  if (bootId === null || sinceBoot > MAX_BOOT_SECONDS) return toMilliseconds(sinceStart);
  try {
    const expiresAt = Math.floor(Date.now() / 1000) + CLAIM_IS_KEPT_SECONDS;
    const isFirst = await claims.claimMachine(bootId, workerId, expiresAt);
    return toMilliseconds(isFirst ? sinceBoot : sinceStart);
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    log({ level: 'warn', event: 'machine_not_claimed', message });
    return toMilliseconds(sinceStart);
  }
}

async function readBootId(): Promise<string | null> {
  try {
    return (await readFile(BOOT_ID, 'utf8')).trim() || null;
  } catch {
    // Not Linux, or not shown to containers.
    return null;
  }
}

function toMilliseconds(seconds: number): number {
  return Math.round(seconds * 1000) / 1000;
}
