import { SingleBar } from 'cli-progress';
import type { CliContext } from './context.ts';

export interface ProgressBar {
  update(value: number, total: number, fields: Readonly<Record<string, string>>): void;
  stop(): void;
}

/** A bar on stderr where somebody watches, else nothing. It appears with the first update. */
export function progressBar(context: CliContext, format: string): ProgressBar {
  if (!context.showProgress) return { update: () => undefined, stop: () => undefined };
  const bar = new SingleBar({
    stream: context.stderr as NodeJS.WritableStream,
    format,
    hideCursor: true,
    clearOnComplete: true,
    // The commands listen to interrupts themselves and finish what is begun.
    gracefulExit: false,
  });
  let isShown = false;
  return {
    update: (value, total, fields) => {
      if (!isShown) bar.start(total, value, fields);
      else bar.update(value, fields);
      isShown = true;
    },
    stop: () => {
      if (isShown) bar.stop();
      isShown = false;
    },
  };
}
