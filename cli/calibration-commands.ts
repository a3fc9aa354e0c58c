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
    .description('measure how deep hits may reuse their donors; run again to resume')
    .argument('[package]', 'folder of the model package (default: that of --model)')
    .option('--objective <losses>', 'largest losses against full generations', DEFAULT_OBJECTIVE)
    .option('--samples <n>', 'maximum videos of a cell', '512')
    .option('--bins <n>', 'bins of similarity of each kind of hit', '2')
    .option(
      '--precision <share>',
      'share of the donors above the threshold that must be right',
      '0.97',
    )
    .option(
      '--prompts <file>',
      'file with one prompt a line (default: generated prompts of the demo world)',
    )
    .option('--batch <n>', 'batch size (default: by provider)')
    .option('--seed <n>', 'the same seed measures the same videos', '1')
    .option('--out <file>', 'output file (default: calibration.json of the package)')
    .option('--work <dir>', 'folder of unfinished work (default: beside the result)')
    .option('--full-only', 'find solver and steps of full generations, and write nothing')
    .option('--only <kinds>', 'measure only these kinds of hits, to split the work; writes nothing')
    .option('--quick', 'few starts and a short reference, as a smoke test')
    .option('--json', 'print one JSON object')
    .action(async (directory: string | undefined, _, command: Command) => {
      const options = command.optsWithGlobals<CalibrateOptions>();
      exitWith(await calibrate(context, directory ?? options.model, options));
    });
}
