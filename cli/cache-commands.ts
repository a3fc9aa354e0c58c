import type { Command } from 'commander';
import { listEntries, pinEntry, removeCacheEntry, showEntry } from './commands/cache.ts';
import { evict } from './commands/evict.ts';
import { sweep } from './commands/sweep.ts';
import type { CliContext, ExitCode } from './context.ts';

const TABLE = ['--table <name>', 'a deployed table instead of the state folder'] as const;
const JSON_OBJECT = ['--json', 'print one JSON object'] as const;

/** Adds `cache`, `evict` and `sweep`: what the cache holds, and what it lets go. */
export function addCacheCommands(
  program: Command,
  context: CliContext,
  exitWith: (code: ExitCode) => void,
): void {
  const cache = program.command('cache').description('look into the cache');
  cache
    .command('ls')
    .description('list the entries')
    .option(...TABLE)
    .option('--json', 'print one JSON object an entry')
    .option('--wide', 'every column, whole, however wide the terminal is')
    .action(async (_, command: Command) => {
      exitWith(await listEntries(context, command.optsWithGlobals()));
    });
  cache
    .command('show')
    .description('show one entry, and why it stays or leaves')
    .argument('<id>')
    .option(...TABLE)
    .option(...JSON_OBJECT)
    .action(async (id: string, _, command: Command) => {
      exitWith(await showEntry(context, id, command.optsWithGlobals()));
    });
  cache
    .command('rm')
    .description('remove one entry; its video stays')
    .argument('<id>')
    .option(...JSON_OBJECT)
    .action(async (id: string, _, command: Command) => {
      exitWith(await removeCacheEntry(context, id, command.optsWithGlobals()));
    });
  for (const [name, isPinned, description] of [
    ['pin', true, 'keep one entry, whatever it costs'],
    ['unpin', false, 'let one entry pay its rent again, or leave'],
  ] as const) {
    cache
      .command(name)
      .description(description)
      .argument('<id>')
      .option(...TABLE)
      .option(...JSON_OBJECT)
      .action(async (id: string, _, command: Command) => {
        exitWith(await pinEntry(context, id, isPinned, command.optsWithGlobals()));
      });
  }

  program
    .command('evict')
    .description('let go of entries that save less than they cost')
    .option('--dry-run', 'say what would go, and change nothing')
    .option('--explain <id>', 'say why one entry stays or leaves, in numbers, and change nothing')
    .option('--budget <dollars>', 'what the cache may cost in rent, dollars a month')
    .option(...JSON_OBJECT)
    .action(async (_, command: Command) => {
      exitWith(await evict(context, command.optsWithGlobals()));
    });

  program
    .command('sweep')
    .description('clear away objects, vectors and records that lost each other')
    .option('--dry-run', 'say what would be done, and change nothing')
    .option(...JSON_OBJECT)
    .action(async (_, command: Command) => {
      exitWith(await sweep(context, command.optsWithGlobals()));
    });
}
