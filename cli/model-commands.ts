import type { Command } from 'commander';
import { checkModel, type CheckModelOptions } from './commands/model.ts';
import { models } from './commands/models.ts';
import type { CliContext, ExitCode } from './context.ts';

/** Adds `models`, what a model package makes, and `model check`, whether it is what the worker needs. */
export function addModelCommands(
  program: Command,
  context: CliContext,
  exitWith: (code: ExitCode) => void,
): void {
  program
    .command('models')
    .description('show what the model package generates and what requests may set')
    .option('--json', 'print one JSON object a model, as GET /v1/models has it')
    .action(async (_, command: Command) => {
      exitWith(await models(context, command.optsWithGlobals()));
    });

  const model = program.command('model').description('inspect a model package');
  model
    .command('check')
    .description('check a model package: files, tokenizer, every network')
    .argument('[package]', 'folder of the model package (default: that of --model)')
    .option('--files-only', 'do not run the networks')
    .option('--json', 'print one JSON object')
    .action(async (directory: string | undefined, _, command: Command) => {
      const options = command.optsWithGlobals<CheckModelOptions>();
      exitWith(await checkModel(context, directory ?? options.model, options));
    });
}
