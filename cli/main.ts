import { fromUncaught } from '#local/database-errors.ts';
import { EXIT } from './context.ts';
import type { CliContext } from './context.ts';
import { errorLine, errorReport } from './error-line.ts';
import { run } from './program.ts';

/** Two signals nearer than this are one key press: the launcher passes on what the terminal sends too. */
const SAME_PRESS_MILLISECONDS = 300;

/** Runs the command line of this process and ends it with the right exit code. */
export async function main(open: CliContext['open'] = openOnDemand): Promise<void> {
  // Whoever reads our results may stop early (`| head`); that is no failure of ours.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(EXIT.success);
    throw error;
  });
  process.on('uncaughtException', (error) => {
    process.stderr.write(errorLine(errorReport(fromUncaught(error))));
    process.exit(EXIT.failed);
  });
  const exitCode = await run(process.argv.slice(2), {
    open,
    stdout: process.stdout,
    stderr: process.stderr,
    progress: process.stderr.isTTY ? process.stderr : null,
    columns: process.stdout.columns,
    workingDirectory: process.cwd(),
    onInterrupt,
  });
  process.stdout.write('', () => process.exit(exitCode));
}

/** The engine is large: commands that do without it start without it. */
const openOnDemand: CliContext['open'] = async (options) => {
  const { openEmbeddedCloud } = await import('#local/embedded-cloud.ts');
  return openEmbeddedCloud(options);
};

/** The first interrupt is handed to the command; the next ends the process at once. */
function onInterrupt(listener: () => void): () => void {
  let firstAt: number | undefined;
  const onSignal = (): void => {
    const now = performance.now();
    if (firstAt === undefined) {
      firstAt = now;
      listener();
    } else if (now - firstAt > SAME_PRESS_MILLISECONDS) {
      process.exit(EXIT.interrupted);
    }
  };
  const signals = ['SIGINT', 'SIGTERM'] as const;
  for (const signal of signals) process.on(signal, onSignal);
  return () => {
    for (const signal of signals) process.off(signal, onSignal);
  };
}
