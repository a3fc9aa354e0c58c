import { Option, type Command } from 'commander';
import { DEFAULT_PRICE_REGION, PRICE_REGIONS } from '#core/prices.ts';
import { checkPriceBooks, showPrices, updatePrices } from './commands/prices.ts';
import type { CliContext, ExitCode } from './context.ts';

/** Adds `prices`: what costs are reckoned by. */
export function addPriceCommands(
  program: Command,
  context: CliContext,
  exitWith: (code: ExitCode) => void,
): void {
  const prices = program.command('prices').description('what costs are reckoned by');
  const booksFolder = () =>
    new Option('--books <dir>', 'other books than those of here').hideHelp();
  const several = (value: string, before: string[] = []): string[] => [...before, value];
  prices
    .command('show')
    .description('list the prices of a region with their units and sources')
    .option('--region <name>', `one of ${PRICE_REGIONS.join(', ')}`, DEFAULT_PRICE_REGION)
    .option('--filter <text>', 'only those with this in their name')
    .option('--day <day>', 'as they were on a day (UTC), e.g. 2026-11-22')
    .option('--override <id=dollars>', 'a measured price in the place of the listed', several)
    .option('--json', 'print one JSON object a price')
    .addOption(booksFolder())
    .action(async (_, command: Command) => {
      exitWith(await showPrices(context, command.optsWithGlobals()));
    });
  prices
    .command('check')
    .description('look for prices that cannot be, and for old ones; fails when one is wrong')
    .option(
      '--stale-months <n>',
      'after how many months to name a price that nobody looked up',
      '12',
    )
    .option('--json', 'print one JSON object a finding')
    .addOption(booksFolder())
    .action(async (_, command: Command) => {
      exitWith(await checkPriceBooks(context, command.optsWithGlobals()));
    });
  prices
    .command('update')
    .description("hold a region's prices against AWS's price list; shows what differs")
    .requiredOption('--region <name>', `one of ${PRICE_REGIONS.join(', ')}`)
    .option('--from <file>', 'an offer file, or an answer of GetProducts; may be repeated', several)
    .option('--aws', 'ask AWS, with the credentials of this machine')
    .option('--write', 'write what differs into the book')
    .option('--json', 'print one JSON object a price')
    .addOption(booksFolder())
    .action(async (_, command: Command) => {
      exitWith(await updatePrices(context, command.optsWithGlobals()));
    });
}
