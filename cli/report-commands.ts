import { Option, type Command } from 'commander';
import { GROUPINGS } from '#core/reports/grouping.ts';
import { reconcile } from './commands/reconcile.ts';
import { REPORT_FORMATS, report } from './commands/report.ts';
import type { CliContext, ExitCode } from './context.ts';

const FROM = [
  '--from <day>',
  'first day, like 2026-11-22, UTC (default: 30 days up to --to)',
] as const;
const TO = ['--to <day>', 'last day (default: today)'] as const;
const REGION = ['--region <name>', "region of the price list (default: the deployment's)"] as const;
const OVERRIDE = [
  '--override <id=dollars>',
  'replace a list price; repeatable',
  (value: string, before: string[] = []) => [...before, value],
] as const;
const TABLE = ['--table <name>', 'a deployed table instead of the state folder'] as const;

/** Adds `report` and `reconcile`: what things have cost. */
export function addReportCommands(
  program: Command,
  context: CliContext,
  exitWith: (code: ExitCode) => void,
): void {
  program
    .command('report')
    .description('show what videos, machines and storage cost, and what reuse saved')
    .option('--by <what>', `one row for each: ${GROUPINGS.join(', ')}`, 'day')
    .option(...FROM)
    .option(...TO)
    .option('--tenant <name>', 'only the videos of this tenant')
    .option(...REGION)
    .option(...OVERRIDE)
    .addOption(
      new Option('--format <name>', 'output format').choices(REPORT_FORMATS).default('table'),
    )
    .addOption(new Option('--json', 'the same as --format json').conflicts('format'))
    .option('--out <file>', 'output file (default: print it)')
    .option(...TABLE)
    .action(async (_, command: Command) => {
      exitWith(await report(context, command.optsWithGlobals()));
    });

  program
    .command('reconcile')
    .description('compare an AWS bill with the report of the same days, and explain the difference')
    .argument('<file>', 'a Cost and Usage Report (CUR 2.0) as CSV, plain or gzipped')
    .option('--from <day>', "first day, like 2026-11-22, UTC (default: the file's)")
    .option('--to <day>', "last day (default: the file's)")
    .option('--tag <key=value>', 'only line items with this tag, like project=flexcache')
    .option(...REGION)
    .option(...OVERRIDE)
    .option(...TABLE)
    .option('--json', 'print one JSON object')
    .action(async (file: string, _, command: Command) => {
      exitWith(await reconcile(context, file, command.optsWithGlobals()));
    });
}
