import { readFile } from 'node:fs/promises';

/** Fields of /proc/<pid>/stat after the command's closing parenthesis (man 5 proc): state is the first. */
const STATE_FIELD = 0;
const START_TIME_FIELD = 19;
/** Where /proc does not exist, the pid alone identifies a process. */
export const UNKNOWN_START_TIME = 'unknown';

/** A process, told from a later one of the same pid by when it started. */
export interface ProcessIdentity {
  pid: number;
  /** Clock ticks since boot, or `unknown`. */
  startTime: string;
}

export async function thisProcess(): Promise<ProcessIdentity> {
  const found = await statOf(process.pid);
  return { pid: process.pid, startTime: found?.startTime ?? UNKNOWN_START_TIME };
}

/** Whether this very process still runs; a killed one that nobody has waited for does not. */
export async function isRunning({ pid, startTime }: ProcessIdentity): Promise<boolean> {
  try {
    process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') return false;
  }
  const found = await statOf(pid);
  if (found === null || startTime === UNKNOWN_START_TIME) return true;
  return found.startTime === startTime && found.state !== 'Z' && found.state !== 'X';
}

async function statOf(pid: number): Promise<{ state: string; startTime: string } | null> {
  let stat: string;
  try {
    stat = await readFile(`/proc/${pid}/stat`, 'utf8');
  } catch {
    return null;
  }
  // The command may contain spaces and parentheses itself.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return { state: fields[STATE_FIELD] ?? '', startTime: fields[START_TIME_FIELD] ?? '' };
}
