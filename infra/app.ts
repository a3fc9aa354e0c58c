import { InvalidInputError } from '#core/errors.ts';
import { createApp } from './create-app.ts';

try {
  // Set by the CDK's command line, from the credentials that it deploys with.
  createApp({ deployingRegion: process.env['CDK_DEFAULT_REGION'] || null }).app.synth();
} catch (error) {
  if (!(error instanceof InvalidInputError)) throw error;
  process.stderr.write(`${error.message}\nfix: ${error.fix}\n`);
  process.exitCode = 1;
}
