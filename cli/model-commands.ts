import type { Command } from 'commander';
import { checkModel, type CheckModelOptions } from './commands/model.ts';
import type { CliContext, ExitCode } from './context.ts';

/** Adds `model check`: whether a model package is what the worker needs. */
export function addModelCommands(
  program: Command,
  context: CliContext,
  exitWith: (code: ExitCode) => void,
): void {
  const model = program.command('model').description('look at a model package');
  model
    .command('check')
    .description('check a model package as the worker uses it: files, tokenizer, every network')
    .argument('[package]', 'folder of the model package (default: that of --model)')
    .option('--files-only', 'run no network')
    .option('--json', 'print one JSON object')
    .action(async (directory: string | undefined, _, command: Command) => {
      const options = command.optsWithGlobals<CheckModelOptions>();
      exitWith(await checkModel(context, directory ?? options.model, options));
    });
}
