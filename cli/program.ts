import { join } from 'node:path';
import { Command, CommanderError, Option } from 'commander';
import packageJson from '../package.json' with { type: 'json' };
import { CACHE_MODES } from '#core/generation.ts';
import { EXECUTION_PROVIDERS } from '#models/execution-provider.ts';
import { addCacheCommands } from './cache-commands.ts';
import { addCalibrationCommands } from './calibration-commands.ts';
import { backfill } from './commands/backfill.ts';
import { demo } from './commands/demo.ts';
import { doctor } from './commands/doctor.ts';
import { generate } from './commands/generate.ts';
import { installGpu } from './commands/install-gpu.ts';
import { DEFAULT_PORT, serve } from './commands/serve.ts';
import { EXIT } from './context.ts';
import type { CliContext, ExitCode } from './context.ts';
import { refuseEmptyValues } from './empty-values.ts';
import { errorLine, errorReport, isInvalidInput } from './error-line.ts';
import { addModelCommands } from './model-commands.ts';
import { addPriceCommands } from './price-commands.ts';
import { printableOutput } from './printable.ts';
import { addReportCommands } from './report-commands.ts';
import { addSimulationCommands } from './simulation-commands.ts';
import { addTenantCommands } from './tenant-commands.ts';

const DEFAULT_MODEL = join(import.meta.dirname, '..', 'containers', 'demo-model', 'package');

const MAX_REUSE_HELP =
  'largest share of the denoising that reuse may skip, 0 (a video of its own) to 1 (default)';
const MIN_SIMILARITY_HELP =
  "least similarity of a video to start from, 0 to 1 (default: the model's thresholds alone)";

/** Runs one command line (without node and script) and says how to exit. Never throws. */
export async function run(args: readonly string[], world: CliContext): Promise<ExitCode> {
  const context: CliContext = {
    ...world,
    stdout: printableOutput(world.stdout),
    stderr: printableOutput(world.stderr),
  };
  let exitCode: ExitCode = EXIT.success;
  const program = buildProgram(context, (code) => {
    exitCode = code;
  });
  try {
    await program.parseAsync(args, { from: 'user' });
    return exitCode;
  } catch (error) {
    if (error instanceof CommanderError) {
      return error.exitCode === 0 ? EXIT.success : EXIT.usage;
    }
    context.stderr.write(errorLine(errorReport(error)));
    if (process.env['FLEXCACHE_DEBUG'] && error instanceof Error) {
      context.stderr.write(`${error.stack}\n`);
    }
    return isInvalidInput(error) ? EXIT.usage : EXIT.failed;
  }
}

function buildProgram(context: CliContext, exitWith: (code: ExitCode) => void): Command {
  const program = new Command('flexcache')
    .description('Text-to-video generation that starts from what it has already made.')
    .version(packageJson.version)
    .option('--state <dir>', 'folder of the cache and of all other state', '.flexcache')
    .option('--model <dir>', 'folder of the model package', DEFAULT_MODEL)
    .addOption(
      new Option('--provider <name>', 'what the models run on (default: cpu)').choices(
        EXECUTION_PROVIDERS,
      ),
    )
    .hook('preAction', (_, command) => refuseEmptyValues(command))
    .exitOverride()
    .configureOutput({
      writeOut: (text) => context.stdout.write(text),
      writeErr: (text) => context.stderr.write(text),
      outputError: (text, write) => write(usageErrorLine(text)),
    });

  program
    .command('generate')
    .description('make a video, or several of one prompt')
    .argument('<prompt>', 'what the video shows')
    .option('--seed <n>', 'which of its videos to make (default: random)')
    .option('--n <n>', 'how many, with seeds that count up', '1')
    .option('--cache <mode>', `one of ${CACHE_MODES.join(', ')} (default: auto)`)
    .option('--steps <n>', "network evaluations of a full generation (default: the model's)")
    .option('--negative-prompt <text>', "what it is not to show (default: the model's)")
    .option('--guidance-scale <n>', "scale of classifier-free guidance (default: the model's)")
    .option('--size <size>', 'WIDTHxHEIGHT; what the model makes')
    .option('--num-frames <n>', 'what the model makes')
    .option('--fps <n>', 'frames per second; what the model makes')
    .option('--max-reuse <share>', MAX_REUSE_HELP)
    .option('--min-similarity <share>', MIN_SIMILARITY_HELP)
    .option(
      '--out <file>',
      'where to write it (default: flexcache-<id>.mp4); of several, FILE-1, FILE-2, ...',
    )
    .option('--json', 'print one JSON object')
    .action(async (prompt: string, _, command: Command) => {
      exitWith(await generate(context, prompt, command.optsWithGlobals()));
    });

  program
    .command('backfill')
    .description('make a video of every line of a file; run again to go on where it stopped')
    .argument('<file>', 'a prompt a line (.txt), or prompt, seed and other fields (.jsonl, .csv)')
    .option('--out <dir>', 'where to write the videos', 'flexcache-videos')
    .option('--concurrency <n>', 'videos in the making at once', '1')
    .option('--max-reuse <share>', MAX_REUSE_HELP)
    .option('--min-similarity <share>', MIN_SIMILARITY_HELP)
    .option('--json', 'print one JSON object a video')
    .action(async (file: string, _, command: Command) => {
      exitWith(await backfill(context, file, command.optsWithGlobals()));
    });

  addCacheCommands(program, context, exitWith);
  addTenantCommands(program, context, exitWith);
  addSimulationCommands(program, context, exitWith);
  addCalibrationCommands(program, context, exitWith);
  addReportCommands(program, context, exitWith);
  addPriceCommands(program, context, exitWith);
  addModelCommands(program, context, exitWith);

  program
    .command('serve')
    .description('answer the HTTP API, with a worker behind it; the first start prints a key')
    .option('--port <n>', '0 for any that is free', String(DEFAULT_PORT))
    .option('--host <address>', 'address to listen on', '127.0.0.1')
    .option('--public-url <url>', 'under which others reach it, where that differs')
    .option('--allow-local-webhooks', 'let callers have webhooks sent to this machine', false)
    .option('--cors-origin <origins...>', 'whose pages may call it from a browser; * for all', [])
    .option('--evict-every <period>', 'how often the cache is weighed', '1h')
    .option('--sweep-every <period>', 'how often what lost each other is cleared away', '7d')
    .option('--cache-budget <dollars>', 'what the cache may cost in rent, dollars a month')
    .option('--no-retention', 'weigh and sweep on demand alone')
    .action(async (_, command: Command) => {
      exitWith(await serve(context, command.optsWithGlobals()));
    });

  program
    .command('doctor')
    .description('check what a run depends on')
    .option('--deep', 'read and check everything that is stored, too')
    .option('--json', 'print one JSON object')
    .action(async (_, command: Command) => {
      exitWith(await doctor(context, command.optsWithGlobals()));
    });

  program
    .command('install-gpu')
    .description("put CUDA's execution provider beside onnxruntime (Linux x64) and try it")
    .option('--wheel <file>', 'the wheel, where it is there already (default: pip downloads it)')
    .option('--force', 'install it again where it is there')
    .option('--json', 'print one JSON object')
    .action(async (_, command: Command) => {
      exitWith(await installGpu(context, command.optsWithGlobals()));
    });

  program
    .command('demo')
    .description('fill an empty cache from a shipped list and write a page that shows it')
    .option('--out <dir>', 'folder of the page, the videos and the state', 'flexcache-demo')
    .option('--fresh', 'begin anew although the last demo was interrupted')
    .addOption(new Option('--prompts <file>', 'another list').hideHelp())
    .action(async (_, command: Command) => {
      exitWith(await demo(context, command.optsWithGlobals()));
    });

  return program;
}

/** Commander's message in our form. A group called without its subcommand prints its help instead. */
function usageErrorLine(text: string): string {
  return errorLine({
    code: 'invalid_input',
    message: text.replace(/^error: /, ''),
    field: null,
    fix: 'see flexcache --help',
  });
}
