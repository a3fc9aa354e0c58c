import { Option, type Command } from 'commander';
import { DEFAULT_PRICE_REGION, PRICE_REGIONS } from '#core/pricing/prices.ts';
import { checkPriceBooks, showPrices, updatePrices } from './commands/prices.ts';
import type { CliContext, ExitCode } from './context.ts';

/** Adds `prices`: what costs are reckoned by. */
export function addPriceCommands(
  program: Command,
  context: CliContext,
  exitWith: (code: ExitCode) => void,
): void {
  const prices = program
    .command('prices')
    .description('show, check and update the price list used for cost estimates');
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
    .description('check for invalid and outdated prices; fails when one is invalid')
    .option('--stale-months <n>', 'age in months at which an unverified price is reported', '12')
    .option('--json', 'print one JSON object a finding')
    .addOption(booksFolder())
    .action(async (_, command: Command) => {
      exitWith(await checkPriceBooks(context, command.optsWithGlobals()));
    });
  prices
    .command('update')
    .description("compare a region's prices with AWS's price list")
    .requiredOption('--region <name>', `one of ${PRICE_REGIONS.join(', ')}`)
    .option('--from <file>', 'an offer file, or an answer of GetProducts; may be repeated', several)
    .option('--aws', 'query AWS with the credentials of this machine')
    .option('--write', 'write the differences into the price book')
    .option('--json', 'print one JSON object a price')
    .addOption(booksFolder())
    .action(async (_, command: Command) => {
      exitWith(await updatePrices(context, command.optsWithGlobals()));
    });
}
