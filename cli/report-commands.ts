import { Option, type Command } from 'commander';
import { GROUPINGS } from '#core/report/grouping.ts';
import { REPORT_FORMATS, report } from './commands/report.ts';
import type { CliContext, ExitCode } from './context.ts';

const FROM = [
  '--from <day>',
  'first day, like 2026-11-22, UTC (default: 30 days up to --to)',
] as const;
const TO = ['--to <day>', 'last day (default: today)'] as const;
const REGION = ['--region <name>', "whose prices to take (default: the deployment's)"] as const;
const TABLE = ['--table <name>', 'a deployed table instead of the state folder'] as const;

/** Adds `report` and `reconcile`: what things have cost. */
export function addReportCommands(
  program: Command,
  context: CliContext,
  exitWith: (code: ExitCode) => void,
): void {
  program
    .command('report')
    .description('say what videos, machines and storage have cost, and what reuse saved')
    .option('--by <what>', `one row for each: ${GROUPINGS.join(', ')}`, 'day')
    .option(...FROM)
    .option(...TO)
    .option('--tenant <name>', 'the videos of one tenant alone')
    .option(...REGION)
    .addOption(
      new Option('--format <name>', 'how to write it').choices(REPORT_FORMATS).default('table'),
    )
    .option('--out <file>', 'where to write it (default: print it)')
    .option(...TABLE)
    .action(async (_, command: Command) => {
      exitWith(await report(context, command.optsWithGlobals()));
    });
}
