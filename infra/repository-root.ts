import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';

export const REPOSITORY_ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
