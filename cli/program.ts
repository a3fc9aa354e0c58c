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
  'largest share of the denoising that reuse may skip, from 0 (no reuse) to 1 (default)';
const BATCH_HELP = 'number of videos that the worker generates concurrently (default: 1)';
const MIN_SIMILARITY_HELP =
  'minimum similarity of a donor, 0 to 1 (default: the thresholds of the model)';

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
    .description('Text-to-video generation with a cache of clean latents.')
    .version(packageJson.version)
    .option('--state <dir>', 'folder of the cache and all other state', '.flexcache')
    .option('--model <dir>', 'folder of the model package', DEFAULT_MODEL)
    .addOption(
      new Option('--provider <name>', 'execution provider (default: cpu)').choices(
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
    .description('generate one video, or several of one prompt')
    .argument('<prompt>', 'text prompt')
    .option('--seed <n>', 'seed of the noise (default: random)')
    .option('--n <n>', 'number of videos, with consecutive seeds', '1')
    .option('--cache <mode>', `one of ${CACHE_MODES.join(', ')} (default: auto)`)
    .option('--steps <n>', "network evaluations of a full generation (default: the model's)")
    .option('--negative-prompt <text>', "what the video should not show (default: the model's)")
    .option('--guidance-scale <n>', "scale of classifier-free guidance (default: the model's)")
    .option(
      '--image <file>',
      'first frame of the video: PNG, JPEG or WebP, where the model takes one',
    )
    .option('--size <size>', 'WIDTHxHEIGHT, one that the model supports')
    .option('--num-frames <n>', 'number of frames, as the model supports')
    .option('--fps <n>', 'frames per second, as the model supports')
    .option('--max-reuse <share>', MAX_REUSE_HELP)
    .option('--min-similarity <share>', MIN_SIMILARITY_HELP)
    .option('--batch <n>', BATCH_HELP)
    .option(
      '--out <file>',
      'output file (default: flexcache-<id>.mp4); of several, FILE-1, FILE-2, ...',
    )
    .option('--json', 'print one JSON object')
    .action(async (prompt: string, _, command: Command) => {
      exitWith(await generate(context, prompt, command.optsWithGlobals()));
    });

  program
    .command('backfill')
    .description('generate a video for each line of a file; run again to resume')
    .argument('<file>', 'one prompt a line (.txt), or prompt, seed and other fields (.jsonl, .csv)')
    .option('--batch <n>', BATCH_HELP)
    .option('--out <dir>', 'output folder', 'flexcache-videos')
    .option('--concurrency <n>', 'number of concurrent videos', '1')
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
    .description('serve the HTTP API with an embedded worker; the first start prints an API key')
    .option('--port <n>', 'port; 0 picks a free one', String(DEFAULT_PORT))
    .option('--batch <n>', BATCH_HELP)
    .option('--host <address>', 'address to listen on', '127.0.0.1')
    .option('--public-url <url>', 'URL under which clients reach the server, where it differs')
    .option('--allow-local-webhooks', 'allow webhooks to addresses of this machine', false)
    .option(
      '--cors-origin <origins...>',
      'origins allowed to call the API from a browser; * for all',
      [],
    )
    .option('--evict-every <period>', 'how often eviction runs', '1h')
    .option('--sweep-every <period>', 'how often orphans are deleted', '7d')
    .option('--cache-budget <dollars>', 'maximum storage cost of the cache, dollars a month')
    .option('--no-retention', 'run evict and sweep on demand only')
    .action(async (_, command: Command) => {
      exitWith(await serve(context, command.optsWithGlobals()));
    });

  program
    .command('doctor')
    .description('check the environment')
    .option('--deep', 'also read and verify all stored data')
    .option('--json', 'print one JSON object')
    .action(async (_, command: Command) => {
      exitWith(await doctor(context, command.optsWithGlobals()));
    });

  program
    .command('install-gpu')
    .description('install the CUDA execution provider of onnxruntime (Linux x64) and test it')
    .option('--wheel <file>', 'local wheel file (default: pip downloads it)')
    .option('--force', 'reinstall')
    .option('--json', 'print one JSON object')
    .action(async (_, command: Command) => {
      exitWith(await installGpu(context, command.optsWithGlobals()));
    });

  program
    .command('demo')
    .description(
      'generate a sample list of prompts into an empty cache and write a page with the results',
    )
    .option('--out <dir>', 'folder of the page, the videos and the state', 'flexcache-demo')
    .option('--fresh', 'start over after an interrupted demo')
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
