import type { Command } from 'commander';
import { DEFAULT_OBJECTIVE } from './calibrate/objective.ts';
import { calibrate, type CalibrateOptions } from './commands/calibrate.ts';
import type { CliContext, ExitCode } from './context.ts';

/** Adds `calibrate`: how deep hits of a model may reuse their donors. */
export function addCalibrationCommands(
  program: Command,
  context: CliContext,
  exitWith: (code: ExitCode) => void,
): void {
  program
    .command('calibrate')
    .description('measure how deep hits of a model may reuse their donors; run again to go on')
    .argument('[package]', 'folder of the model package (default: that of --model)')
    .option('--objective <losses>', 'largest losses against full generations', DEFAULT_OBJECTIVE)
    .option('--samples <n>', 'most videos of a cell', '512')
    .option('--bins <n>', 'bins of similarity of each kind of hit', '2')
    .option('--precision <share>', 'donors that similarity admits and that are right', '0.97')
    .option('--prompts <file>', "a prompt a line (default: made-up users', for the demo world)")
    .option('--batch <n>', 'videos of one network call (default: by provider)')
    .option('--seed <n>', 'the same seed measures the same videos', '1')
    .option('--out <file>', 'where to write it (default: calibration.json of the package)')
    .option('--work <dir>', 'where unfinished work is kept (default: beside the result)')
    .option('--full-only', 'find the solver and the steps of full generations, and write nothing')
    .option('--only <kinds>', 'measure some kinds of hits alone, to share the work; writes nothing')
    .option('--quick', 'few starts and a short reference: shows that it works, measures little')
    .option('--json', 'print one JSON object')
    .action(async (directory: string | undefined, _, command: Command) => {
      const options = command.optsWithGlobals<CalibrateOptions>();
      exitWith(await calibrate(context, directory ?? options.model, options));
    });
}
