import { basename, resolve } from 'node:path';
import { InvalidInputError } from '#core/errors.ts';
import { generateTrace, syntheticHeader } from '#simulation/traces/generate-trace.ts';
import {
  SYNTHETIC_DEFAULTS,
  type SyntheticParameters,
} from '#simulation/traces/synthetic-parameters.ts';
import { parseTraceTime } from '#readers/trace-time.ts';
import { EXIT } from '../context.ts';
import type { CliContext, ExitCode } from '../context.ts';
import { openRequests } from '../open-requests.ts';
import { importPrompts } from '../simulate/import-prompts.ts';
import { MAX_TRACE_REQUESTS } from '../simulate/open-trace.ts';
import { traceText } from '../simulate/write-trace.ts';
import { checkWritable, writeOutput } from '../output-file.ts';

/** Parameters of a synthetic trace that the command line may set, by their option. */
export const GENERATE_NUMBERS = {
  rate: 'requestsPerDay',
  users: 'usersPerRequest',
  userSlope: 'userSlope',
  tenants: 'tenants',
  topicSlope: 'topicSlope',
  returns: 'returnShare',
  sameSeed: 'sameSeedShare',
  details: 'detailShare',
  doubleSwaps: 'doubleSwapShare',
  diurnal: 'diurnal',
} as const satisfies Record<string, keyof SyntheticParameters>;

export type GenerateNumber = keyof typeof GENERATE_NUMBERS;

export interface GenerateTraceOptions extends Partial<Record<GenerateNumber, string>> {
  requests: string;
  seed: string;
  start: string;
  edits?: string;
  out: string;
}

export interface ImportTraceOptions {
  rate: string;
  start: string;
  out: string;
}

/** Writes a made-up trace of the demo world; the same options write the same file. */
export async function generateTraceFile(
  context: CliContext,
  options: GenerateTraceOptions,
): Promise<ExitCode> {
  const parameters: SyntheticParameters = {
    ...SYNTHETIC_DEFAULTS,
    requests: numberOf('requests', options.requests),
    seed: numberOf('seed', options.seed),
    start: startOf(options.start),
    ...(options.edits === undefined ? {} : { edits: editsOf(options.edits) }),
  };
  for (const [option, name] of Object.entries(GENERATE_NUMBERS)) {
    const text = options[option as GenerateNumber];
    if (text !== undefined) parameters[name] = numberOf(option, text);
  }
  const out = resolve(context.workingDirectory, options.out);
  await checkWritable(out);
  const requests = generateTrace(parameters);
  await writeOutput(out, traceText(syntheticHeader(parameters), requests));
  context.stderr.write(`flexcache: wrote ${requests.length} made-up requests to ${out}\n`);
  return EXIT.success;
}

/** Writes a trace of a plain file of prompts, at assumed times. */
export async function importTraceFile(
  context: CliContext,
  file: string,
  options: ImportTraceOptions,
): Promise<ExitCode> {
  const out = resolve(context.workingDirectory, options.out);
  await checkWritable(out);
  const path = resolve(context.workingDirectory, file);
  const { header, requests, rejected } = await importPrompts(
    basename(path),
    await openRequests(path),
    { requestsPerDay: numberOf('rate', options.rate), start: startOf(options.start) },
  );
  if (requests.length > MAX_TRACE_REQUESTS) {
    throw new InvalidInputError(
      'file',
      `${path} has ${requests.length} prompts; at most ${MAX_TRACE_REQUESTS} are simulated`,
      'import a part of it',
    );
  }
  await writeOutput(out, traceText(header, requests));
  const [first] = rejected;
  if (first !== undefined) {
    context.stderr.write(
      `flexcache: left out ${rejected.length} lines that hold no prompt, first line ${first.line}: ${first.error.message}\n`,
    );
  }
  context.stderr.write(`flexcache: wrote ${requests.length} requests to ${out}\n`);
  return EXIT.success;
}

function numberOf(option: string, text: string): number {
  const number = text.trim() === '' ? Number.NaN : Number(text);
  if (Number.isFinite(number)) return number;
  throw new InvalidInputError(option, `${option} "${text}" is not a number`, 'give a number');
}

function startOf(text: string): string {
  return new Date(parseTraceTime(text) * 1000).toISOString();
}

/** `same=0.2,add=0.2,remove=0.1,swap=0.5` */
function editsOf(text: string): SyntheticParameters['edits'] {
  const edits = { ...SYNTHETIC_DEFAULTS.edits };
  for (const pair of text.split(',')) {
    const [name, share = ''] = pair.split('=', 2).map((piece) => piece.trim());
    if (name === undefined || !Object.hasOwn(edits, name)) {
      throw new InvalidInputError(
        'edits',
        `edits "${text}" names ${JSON.stringify(name)}`,
        'write same=0.238,add=0.165,remove=0.073,swap=0.524',
      );
    }
    edits[name as keyof typeof edits] = numberOf(`edits ${name}`, share);
  }
  return edits;
}
