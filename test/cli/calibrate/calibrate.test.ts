import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { checkCalibrationFile } from '#core/planning/calibration-file.ts';
import { PackageCalibration } from '#core/planning/package-calibration.ts';
import { EXIT, type CliContext } from '../../../cli/context.ts';
import { run } from '../../../cli/program.ts';
import { temporaryFolder } from '../../temporary-folder.ts';
import { smallPackage } from './small-package.ts';
import { leaveOutLookup, writePackage } from '../../models/package-fixture.ts';

const FLEXCACHE = resolve(import.meta.dirname, '../../../cli/flexcache.mjs');

/** Two of one meaning, and others that share their object or their background. */
const PROMPTS = [
  'a large red ball over the ocean at night',
  'a large red ball over the ocean at night',
  'a large red ball in a forest at noon',
  'a small blue star over the ocean at night',
  'a small blue star in a forest at noon',
];

interface Said {
  exitCode: number;
  stdout: string;
  stderr: string;
}

async function calibrate(args: readonly string[]): Promise<Said> {
  let stdout = '';
  let stderr = '';
  const context: CliContext = {
    open: () => Promise.reject(new Error('calibrate opens no cloud')),
    stdout: { write: (text) => (stdout += text) },
    stderr: { write: (text) => (stderr += text) },
    progress: null,
    columns: undefined,
    workingDirectory: process.cwd(),
    onInterrupt: () => () => undefined,
  };
  const exitCode = await run(['calibrate', ...args], context);
  return { exitCode, stdout, stderr };
}

describe('flexcache calibrate', () => {
  it('goes on after a kill, writes what the product reads, and measures nothing twice', async () => {
    const folder = await temporaryFolder();
    const modelFolder = join(folder, 'model');
    await mkdir(modelFolder);
    await smallPackage(modelFolder);
    const out = join(folder, 'calibration.json');
    const work = join(folder, 'calibration.work');
    const prompts = join(folder, 'prompts.txt');
    await writeFile(prompts, [...PROMPTS, ...PROMPTS.map((each) => `video of ${each}`)].join('\n'));
    const args = [modelFolder, '--quick', '--prompts', prompts, '--out', out];
    args.push('--samples', '5', '--precision', '0.2', '--objective', 'adherence:0.9,fd:0.9');

    const killed = spawn(process.execPath, [FLEXCACHE, 'calibrate', ...args], { stdio: 'ignore' });
    const exit = once(killed, 'exit');
    while ((await workBytes(work)) === 0) await sleep(50);
    killed.kill('SIGKILL');
    await exit;
    expect(await workBytes(work)).toBeGreaterThan(0);

    const share = await calibrate([...args, '--only', 'whole,held-out']);
    expect(share).toMatchObject({ exitCode: EXIT.success, stdout: '' });
    expect(share.stderr).toContain('measured whole, held-out');
    await expect(stat(out)).rejects.toThrow('ENOENT');

    const first = await calibrate(args);

    expect(first.stderr).toMatch(/goes on from [1-9]\d* videos measured before/);
    const file = checkCalibrationFile(out, JSON.parse(await readFile(out, 'utf8')));
    expect(file).toMatchObject({ provider: 'cpu', samples: 5, full: { solver: 'ab2', steps: 5 } });
    expect(file.reference).toMatchObject({ solver: 'euler', steps: 6 });
    expect(file.measured.length).toBeGreaterThan(0);
    for (const plan of file.plans) {
      expect(plan.loss.adherence!.mean).toBeLessThanOrEqual(file.objective.adherence);
      const start = new PackageCalibration(file).decide(plan.kind, 1, 5);
      expect(start!.steps).toBeLessThanOrEqual(5);
    }
    expect(file.heldOut!.samples).toBe(5);
    const hits = Object.values(file.heldOut!.hits!).reduce((sum, count) => sum + count, 0);
    expect(hits).toBe(5);
    const isWithin = file.heldOut!.isWithinObjective;
    expect(first.exitCode).toBe(isWithin ? EXIT.success : EXIT.failed);
    expect(first.stdout).toContain('full generation: ab2, 5 evaluations');

    // What was within the objective leaves nothing to go on with.
    if (isWithin) expect(await workBytes(work)).toBe(0);
    else {
      const { maxReuseDepth: _limit, chainedReuse: _drift, ...plans } = file;
      const unlimited = JSON.parse(await readFile(join(work, 'calibration.json'), 'utf8'));
      expect(unlimited).toMatchObject({ ...plans, maxReuseDepth: null });
      const again = await calibrate(args);
      expect(again.stderr).toMatch(/wrote .*: 0 evaluations/);
      const { createdAt: _, ...same } = JSON.parse(await readFile(out, 'utf8'));
      expect({ ...same, createdAt: file.createdAt }).toEqual(file);
    }
  }, 900_000);

  it.each([
    [['--objective', 'beauty:0.1'], 'beauty'],
    [['--objective', 'fd:2'], 'fd'],
    [['--samples', '1'], '--samples'],
    [['--precision', '0'], '--precision'],
    [['--batch', 'x'], '--batch'],
    [['--only', 'whole,nearly'], 'nearly'],
  ])('refuses %j before any work', async (args, named) => {
    const { exitCode, stderr } = await calibrate(args);
    expect(exitCode).toBe(EXIT.usage);
    expect(stderr).toContain(named);
  });

  it('refuses a package whose videos nothing looks at, and names what is missing', async () => {
    const { exitCode, stderr } = await calibrate([await writePackage(leaveOutLookup)]);

    expect(exitCode).toBe(EXIT.failed);
    expect(stderr).toMatch(
      /model_missing: .* has no videoTower or videoVectors \(to compare .*\), and segmenter or objectMask \(/,
    );
  });
});

async function workBytes(folder: string): Promise<number> {
  const names = await readdir(folder).catch(() => []);
  const sizes = await Promise.all(
    names.map(async (name) => (await stat(join(folder, name)).catch(() => null))?.size ?? 0),
  );
  return sizes.reduce((sum, size) => sum + size, 0);
}
