import { SingleBar } from 'cli-progress';
import type { CliContext } from './context.ts';
import { printable } from './printable.ts';

export interface ProgressBar {
  update(value: number, total: number, fields: Readonly<Record<string, string>>): void;
  stop(): void;
}

/** A bar on stderr where somebody watches, else nothing. It appears with the first update. */
export function progressBar({ progress }: CliContext, format: string): ProgressBar {
  if (progress === null) return { update: () => undefined, stop: () => undefined };
  const bar = new SingleBar({
    stream: progress,
    format,
    hideCursor: true,
    clearOnComplete: true,
    // The commands listen to interrupts themselves and finish what is begun.
    gracefulExit: false,
  });
  let isShown = false;
  return {
    update: (value, total, fields) => {
      const shown = Object.fromEntries(
        Object.entries(fields).map(([name, text]) => [name, printable(text)]),
      );
      if (!isShown) bar.start(total, value, shown);
      else bar.update(value, shown);
      isShown = true;
    },
    stop: () => {
      if (isShown) bar.stop();
      isShown = false;
    },
  };
}
