import { InvalidInputError } from '#core/errors.ts';
import { createApp } from './create-app.ts';

try {
  createApp().app.synth();
} catch (error) {
  if (!(error instanceof InvalidInputError)) throw error;
  process.stderr.write(`${error.message}\nfix: ${error.fix}\n`);
  process.exitCode = 1;
}
