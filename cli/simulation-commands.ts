import { Option, type Command } from 'commander';
import { SCOPES } from '#core/generation.ts';
import { DEFAULT_PRICE_REGION, PRICE_REGIONS } from '#core/pricing/prices.ts';
import { POLICY_NAMES } from '#simulation/types.ts';
import { SYNTHETIC_DEFAULTS as DEFAULTS } from '#simulation/traces/synthetic-parameters.ts';
import { STORAGE_CLASSES } from '#core/costs/storage-class.ts';
import { simulate, SIMULATION_FORMATS } from './commands/simulate.ts';
import { generateTraceFile, importTraceFile } from './commands/trace.ts';
import type { CliContext, ExitCode } from './context.ts';
import { ASSUMED_REQUESTS_PER_DAY, ASSUMED_START } from './simulate/import-prompts.ts';
import { VIDEO_PROFILES } from './simulate/video-profile.ts';

const RATE = ['--rate <n>', 'requests a day', String(ASSUMED_REQUESTS_PER_DAY)] as const;

/** Adds `simulate` and `trace`: what other caches would have cost, and for which requests. */
export function addSimulationCommands(
  program: Command,
  context: CliContext,
  exitWith: (code: ExitCode) => void,
): void {
  const profiles = VIDEO_PROFILES.map(({ name }) => name).join(', ');
  program
    .command('simulate')
    .description('estimate what a trace costs with other caches and policies, without a GPU')
    .argument('<trace>', 'requests with their times (.jsonl), or prompts (.txt, .csv)')
    .option('--policies <names>', `some of ${POLICY_NAMES.join(', ')}`, POLICY_NAMES.join(','))
    .option('--capacity <list>', 'entries, bytes (5MB), shares (10%) or unlimited', 'unlimited')
    .option('--tier <list>', 'object, fast or both', 'object')
    .option('--fast-size <size>', 'of the fast tier: entries, bytes or a share', '1%')
    .addOption(
      new Option('--prices <region>', 'region of the price list')
        .choices(PRICE_REGIONS)
        .default(DEFAULT_PRICE_REGION),
    )
    .option('--override <prices>', 'measured prices, e.g. ec2.g6.xlarge.on-demand=0.31')
    .option(
      '--video-profile <profile>',
      `${profiles}, or latent=BYTES,seconds=S,steps=N`,
      '480p-1.3b',
    )
    .option('--embedder <dir>', 'a sentence encoder, for prompts that are not of the demo world')
    .option('--thresholds <list>', 'minimum cosine similarity for a hit, e.g. whole=0.95')
    .option('--embeddings <file>', 'file that caches vectors (default: beside the trace), or none')
    .addOption(
      new Option('--scope <scope>', 'who may reuse an entry').choices(SCOPES).default('tenant'),
    )
    .addOption(
      new Option('--storage-class <class>', 'storage class of latents')
        .choices(STORAGE_CLASSES)
        .default('INTELLIGENT_TIERING'),
    )
    .option('--rate <n>', 'requests a day, where the file has no times', RATE[2])
    .option('--seed <n>', 'seed of the shuffled order', '1')
    .option('--shuffle', 'replay all requests in shuffled order')
    .addOption(
      new Option('--format <format>', 'output format').choices(SIMULATION_FORMATS).default('table'),
    )
    .addOption(new Option('--json', 'the same as --format json').conflicts('format'))
    .option('--out <file>', 'output file (default: standard output)')
    .action(async (file: string, _, command: Command) => {
      exitWith(await simulate(context, file, command.optsWithGlobals()));
    });

  const trace = program.command('trace').description('generate traces for simulate');
  trace
    .command('generate')
    .description('generate requests of users of the demo world; docs/simulate.md has the sources')
    .requiredOption('--requests <n>', 'how many')
    .option('--seed <n>', 'the same seed makes the same trace', '1')
    .option('--start <time>', 'of the first day', DEFAULTS.start)
    .option('--rate <n>', `requests a day (default: ${DEFAULTS.requestsPerDay})`)
    .option('--users <n>', `users for each request (default: ${DEFAULTS.usersPerRequest})`)
    .option('--user-slope <n>', `how unequal users are (default: ${DEFAULTS.userSlope})`)
    .option('--tenants <n>', `whom the users belong to (default: ${DEFAULTS.tenants})`)
    .option('--topic-slope <n>', `how unequal topics are (default: ${DEFAULTS.topicSlope})`)
    .option('--edits <mix>', 'shares of same, add, remove, swap, e.g. same=0.3,swap=0.454')
    .option('--double-swaps <n>', `of swaps, of two things (default: ${DEFAULTS.doubleSwapShare})`)
    .option('--returns <n>', `sessions that open with the old (default: ${DEFAULTS.returnShare})`)
    .option('--same-seed <n>', `of repeats, with the seed (default: ${DEFAULTS.sameSeedShare})`)
    .option('--details <n>', `details of a first prompt (default: ${DEFAULTS.detailShare})`)
    .option('--diurnal <n>', `how much days differ from nights (default: ${DEFAULTS.diurnal})`)
    .requiredOption('--out <file>', 'output file')
    .action(async (_, command: Command) => {
      exitWith(await generateTraceFile(context, command.optsWithGlobals()));
    });
  trace
    .command('import')
    .description('give prompts of a plain file assumed times')
    .argument('<file>', 'a prompt a line (.txt), or prompt and seed (.jsonl, .csv)')
    .option(...RATE)
    .option('--start <time>', 'of the first request', ASSUMED_START)
    .requiredOption('--out <file>', 'output file')
    .action(async (file: string, _, command: Command) => {
      exitWith(await importTraceFile(context, file, command.optsWithGlobals()));
    });
}
