/** The container's health check: exits 0 while the worker gets on, else 1 and says why. */
import { healthProblem } from './health-file.ts';
import { DEFAULT_HEALTH_FILE, DENOISER_VARIABLES } from './variables.ts';

const problem = healthProblem(process.env[DENOISER_VARIABLES.healthFile] || DEFAULT_HEALTH_FILE);
if (problem !== null) {
  process.stderr.write(`${problem}\n`);
  process.exitCode = 1;
}
