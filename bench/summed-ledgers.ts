import { spawn } from 'node:child_process';
import { watch } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parse } from 'csv-parse/sync';
import type { CliContext } from '#cli/context.ts';
import { run as runCommand } from '#cli/program.ts';
import { costOfJob } from '#core/costs/cost.ts';
import { dayOf } from '#core/day.ts';
import type { Job } from '#core/generation.ts';
import { formatUsd, parseUsd } from '#core/pricing/money.ts';
import { createRandomSource } from '#core/random.ts';
import { GROUPINGS, type Grouping } from '#core/reports/grouping.ts';
import { embeddedPrices } from '#functions/shared/deployed-prices.ts';
import { DEFAULT_TENANT } from '#local/default-tenant.ts';
import { openTenants } from '#local/open-tenants.ts';
import { DynamoBackfillTable } from '#aws/dynamo-backfills.ts';
import { DynamoTable } from '#aws/dynamo-table.ts';
import { FAULT_SEED, FAULTS_FINAL, FAULTS_TRANSIENT, type FaultShares } from './inject-faults.ts';

export interface SummedBackfill {
  /** Where list, state and videos are. */
  folder: string;
  /** Script that is the command, with faults. */
  command: string;
  lines: readonly object[];
  /** How often the process is killed, with SIGKILL, before it may end. */
  kills: number;
  /** It is killed at latest after so many changes of files. */
  mostFileChanges: number;
  faults: FaultShares;
  seed: number;
  say?: (line: string) => void;
}

/** A run that meets a final fault leaves lines that failed: the next one tries them again. */
const MAX_RUNS = 20;

const COMMAND = [
  'backfill',
  'list.jsonl',
  '--state',
  'state',
  '--out',
  'videos',
  '--concurrency',
  '2',
];

/**
 * Runs a backfill that fails, retries and is killed until every line has its video, and says everything
 * that does not add up afterwards: ledgers, reports in every grouping, backfill lines, and what the
 * tenant was charged.
 */
export async function sumLedgers(backfill: SummedBackfill): Promise<string[]> {
  const { folder, lines, kills, mostFileChanges, seed, say = () => {} } = backfill;
  await writeFile(join(folder, 'list.jsonl'), lines.map((line) => JSON.stringify(line)).join('\n'));
  const random = createRandomSource(seed, 'kill');
  for (let kill = 0; kill < kills; kill++) {
    const changes = 1 + random.nextBelow(mostFileChanges);
    const { exitCode } = await run(backfill, COMMAND, kill, changes);
    say(
      `run ${kill + 1}: ${exitCode === null ? `killed at the ${changes}th change of a file` : 'had ended before'}`,
    );
  }
  let finished = false;
  for (let attempt = 0; attempt < MAX_RUNS && !finished; attempt++) {
    const { exitCode } = await run(backfill, COMMAND, kills + attempt);
    finished = exitCode === 0;
    say(
      `run ${kills + attempt + 1}: ${finished ? 'every line has its video' : 'some lines failed'}`,
    );
  }
  return finished ? faultsOf(backfill) : ['the lines fail again and again'];
}

async function faultsOf(backfill: SummedBackfill): Promise<string[]> {
  const { folder, say = () => {} } = backfill;
  const faults: string[] = [];
  const expect = (what: string, found: bigint, wanted: bigint): void => {
    if (found !== wanted)
      faults.push(`${what}: $${formatUsd(found)}, expected $${formatUsd(wanted)}`);
  };
  const state = join(folder, 'state');
  const book = embeddedPrices();
  const jobs: Job[] = [];
  let charged = 0n;
  let lineCost = 0n;
  {
    await using opened = await openTenants(state);
    for await (const job of new DynamoTable(opened.connection).scanJobs()) jobs.push(job);
    for (const day of new Set(jobs.map(({ createdAt }) => dayOf(createdAt)))) {
      charged += await opened.tenants.getSpending(DEFAULT_TENANT, day);
    }
    const backfills = new DynamoBackfillTable(opened.connection);
    for await (const { backfillId } of backfills.scanBackfills()) {
      for await (const { cost } of backfills.listLines(backfillId)) lineCost += BigInt(cost ?? 0);
    }
  }
  const costs = jobs.map((job) => costOfJob(job, book));
  const ledgers = costs.reduce((sum, { total }) => sum + total, 0n);
  const records = jobs.flatMap(({ usage }) => usage);
  const wasted = costs.reduce((sum, cost) => sum + cost.wasted, 0n);
  const attempts = jobs.reduce((sum, { attempt }) => sum + attempt, 0);
  say(
    `${jobs.length} videos, ${attempts} attempts, ${records.length} runs of steps: $${formatUsd(ledgers)}, of which $${formatUsd(wasted)} wasted`,
  );

  // Price by price, as AWS would write it.
  const invoice = costs.flatMap(({ items }) => items).reduce((sum, { amount }) => sum + amount, 0n);
  expect('invoice', invoice, ledgers);
  expect('charged to the tenant', charged, ledgers);
  for (const by of GROUPINGS) {
    const rows = parse(await reportCsv(folder, by), {
      columns: true,
      record_delimiter: '\r\n',
    }) as Record<string, string>[];
    const sum = (column: string): bigint =>
      rows.reduce((total, row) => total + (row[column] ? parseUsd(row[column], column) : 0n), 0n);
    expect(`report by ${by}`, sum('total_usd'), ledgers);
    expect(`waste in the report by ${by}`, sum('wasted_usd'), wasted);
    expect(
      `GPU and requests in the report by ${by}`,
      sum('gpu_usd') + sum('requests_usd'),
      ledgers,
    );
  }
  if (lineCost > ledgers) expect('lines of the backfills', lineCost, ledgers);
  const unfinished = jobs.filter(({ status }) => status !== 'completed');
  for (const { videoId, status } of unfinished) faults.push(`video ${videoId} is ${status}`);
  if (wasted === 0n) faults.push('nothing was wasted: no fault and no kill has met a step');
  return faults;
}

/** What the command prints, run in this process. */
async function reportCsv(folder: string, by: Grouping): Promise<string> {
  let stdout = '';
  let stderr = '';
  const context: CliContext = {
    open: () => Promise.reject(new Error('a report needs no models')),
    stdout: { write: (text) => (stdout += text) },
    stderr: { write: (text) => (stderr += text) },
    progress: null,
    columns: undefined,
    workingDirectory: folder,
    onInterrupt: () => () => undefined,
  };
  const args = ['report', '--by', by, '--format', 'csv', '--state', 'state'];
  if ((await runCommand(args, context)) !== 0) throw new Error(stderr);
  return stdout;
}

interface Ended {
  /** Null when it was killed. */
  exitCode: number | null;
  stdout: string;
}

/** Runs the command, and kills it at the n-th change of a file. */
function run(
  { folder, command, faults, seed }: SummedBackfill,
  args: readonly string[],
  runNumber: number,
  killAt = Infinity,
): Promise<Ended> {
  const child = spawn(process.execPath, [command, ...args], {
    cwd: folder,
    stdio: ['ignore', 'pipe', 'ignore'],
    env: {
      ...process.env,
      [FAULT_SEED]: String(seed * 1000 + runNumber),
      [FAULTS_TRANSIENT]: String(faults.transient),
      [FAULTS_FINAL]: String(faults.final),
    },
  });
  let stdout = '';
  child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
  let changes = 0;
  const watcher =
    killAt === Infinity
      ? null
      : watch(folder, { recursive: true }, () => {
          changes += 1;
          if (changes === killAt) child.kill('SIGKILL');
        });
  return new Promise((resolve) => {
    child.on('close', (exitCode) => {
      watcher?.close();
      resolve({ exitCode, stdout });
    });
  });
}
