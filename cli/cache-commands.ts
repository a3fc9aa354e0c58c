import type { Command } from 'commander';
import { listEntries, pinEntry, removeCacheEntry, showEntry } from './commands/cache.ts';
import { evict } from './commands/evict.ts';
import { sweep } from './commands/sweep.ts';
import type { CliContext, ExitCode } from './context.ts';

const TABLE = ['--table <name>', 'a deployed table instead of the state folder'] as const;
const JSON_OBJECT = ['--json', 'print one JSON object'] as const;

/** Adds `cache`, `evict` and `sweep`: contents and eviction of the cache. */
export function addCacheCommands(
  program: Command,
  context: CliContext,
  exitWith: (code: ExitCode) => void,
): void {
  const cache = program.command('cache').description('inspect and edit the cache');
  cache
    .command('ls')
    .description('list the entries')
    .option(...TABLE)
    .option('--json', 'print one JSON object an entry')
    .option('--wide', 'print all columns in full')
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
    ['pin', true, 'protect an entry from eviction'],
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
    .description('evict entries that cost more than they save')
    .option('--dry-run', 'show what would be evicted, and change nothing')
    .option(
      '--explain <id>',
      'explain with numbers why an entry stays or is evicted, and change nothing',
    )
    .option('--budget <dollars>', 'maximum storage cost of the cache, dollars a month')
    .option(...JSON_OBJECT)
    .action(async (_, command: Command) => {
      exitWith(await evict(context, command.optsWithGlobals()));
    });

  program
    .command('sweep')
    .description('delete orphaned objects, vectors and records')
    .option('--dry-run', 'show what would be deleted, and change nothing')
    .option(...JSON_OBJECT)
    .action(async (_, command: Command) => {
      exitWith(await sweep(context, command.optsWithGlobals()));
    });
}
