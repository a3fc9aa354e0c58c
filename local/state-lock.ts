import { randomUUID } from 'node:crypto';
import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { FlexCacheError } from '#core/errors.ts';
import { createFolder } from './durable-file.ts';
import { fromFileSystem, systemErrorCode } from './file-errors.ts';
import { isRunning, thisProcess, type ProcessIdentity } from '#files/process-identity.ts';

const CLAIM_NAME = /^(\d+)\.(\w+)\.[0-9a-f-]{36}$/;
const HELD = 'held';
/** How long those who come at the same time sort out who is first. */
const CONTENTION_MILLISECONDS = 3000;
const MAX_PAUSE_MILLISECONDS = 50;

interface Claim {
  name: string;
  owner: ProcessIdentity;
  /** Whether its owner has the lock, and does not only reach for it. */
  isHeld: boolean;
  isAlive: boolean;
}

export interface StateLock {
  /** Idempotent. */
  release(): Promise<void>;
}

/**
 * Takes the lock of a state folder: a folder `lock` with one file per claimant, named
 * `<pid>.<start time>.<uuid>`.
 *
 * Everyone first writes a claim of their own and then looks for others, so that of two who come
 * together at least one sees the other:
 *
 *     A   claim ──── look: B's claim ──── withdraw, pause, again
 *     B      claim ──── look: A's claim, or nobody ──── held
 *
 * Nobody holds the lock who saw another live claim after writing their own. Claims of dead processes
 * are removed; that is safe at any time, for a name is never used twice.
 *
 * @throws FlexCacheError `state_locked` that names the process which holds it
 */
export async function takeStateLock(stateDirectory: string): Promise<StateLock> {
  const folder = lockFolder(stateDirectory);
  const self = await thisProcess();
  const giveUpAt = Date.now() + CONTENTION_MILLISECONDS;
  try {
    for (;;) {
      const name = `${self.pid}.${self.startTime}.${randomUUID()}`;
      const path = join(folder, name);
      await createFolder(folder);
      await writeFile(path, '', { flag: 'wx' });
      let isHeld = false;
      try {
        const rivals = await liveClaims(folder, name);
        if (rivals.length === 0) {
          await writeFile(path, HELD);
          isHeld = true;
          return { release: () => rm(path, { force: true }) };
        }
        const holder = rivals.find((rival) => rival.isHeld);
        if (holder || Date.now() > giveUpAt) {
          throw stateLocked(stateDirectory, folder, (holder ?? rivals[0]!).owner);
        }
      } finally {
        if (!isHeld) await rm(path, { force: true });
      }
      await pause(Math.random() * MAX_PAUSE_MILLISECONDS);
    }
  } catch (error) {
    throw fromFileSystem(error, 'lock the state folder', folder);
  }
}

/** @throws FlexCacheError `state_locked` when a living process holds the folder. Writes nothing. */
export async function refuseWhileHeld(stateDirectory: string): Promise<void> {
  const folder = lockFolder(stateDirectory);
  const holder = await lockHolder(stateDirectory);
  if (holder !== null) throw stateLocked(stateDirectory, folder, holder);
}

/** Who holds the folder; null when no living process does. Writes nothing. */
export async function lockHolder(stateDirectory: string): Promise<ProcessIdentity | null> {
  const folder = lockFolder(stateDirectory);
  const names = await readdir(folder).catch((error: unknown) => {
    if (systemErrorCode(error) === 'ENOENT') return [];
    throw fromFileSystem(error, 'look who uses the state folder', folder);
  });
  const claims = await Promise.all(names.map((name) => readClaim(folder, name)));
  return claims.find((claim) => claim?.isAlive && claim.isHeld)?.owner ?? null;
}

function lockFolder(stateDirectory: string): string {
  return join(resolve(stateDirectory), 'lock');
}

async function liveClaims(folder: string, ownName: string): Promise<Claim[]> {
  const names = (await readdir(folder)).filter((name) => name !== ownName);
  const claims = await Promise.all(names.map((name) => liveClaim(folder, name)));
  return claims.filter((claim) => claim !== null);
}

/** Claims of dead processes are removed on the way. */
async function liveClaim(folder: string, name: string): Promise<Claim | null> {
  const claim = await readClaim(folder, name);
  if (claim === null || claim.isAlive) return claim;
  await rm(join(folder, name), { force: true });
  return null;
}

/** Null for what is no claim, or no more. */
async function readClaim(folder: string, name: string): Promise<Claim | null> {
  const [, pid, startTime] = CLAIM_NAME.exec(name) ?? [];
  if (pid === undefined || startTime === undefined) return null;
  const owner = { pid: Number(pid), startTime };
  const isAlive = await isRunning(owner);
  try {
    const isHeld = (await readFile(join(folder, name), 'utf8')) === HELD;
    return { name, owner, isHeld, isAlive };
  } catch (error) {
    // Withdrawn since the folder was listed.
    if (systemErrorCode(error) === 'ENOENT') return null;
    throw error;
  }
}

function stateLocked(directory: string, folder: string, owner: ProcessIdentity): FlexCacheError {
  const who = owner.pid === process.pid ? 'this process already' : `process ${owner.pid}`;
  return new FlexCacheError('state_locked', `${who} uses the state folder ${directory}`, {
    field: 'state',
    fix: `wait for process ${owner.pid} or stop it, choose another folder with --state, or, if it is no FlexCache, delete ${folder}`,
    transient: true,
  });
}

function pause(milliseconds: number): Promise<void> {
  return new Promise((resolvePause) => setTimeout(resolvePause, milliseconds));
}
