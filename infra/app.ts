import { InvalidInputError } from '#core/errors.ts';
import { createApp } from './create-app.ts';

try {
  // Set by the CDK CLI from its credentials.
  createApp({ deployingRegion: process.env['CDK_DEFAULT_REGION'] || null }).app.synth();
} catch (error) {
  if (!(error instanceof InvalidInputError)) throw error;
  process.stderr.write(`${error.message}\nfix: ${error.fix}\n`);
  process.exitCode = 1;
}
