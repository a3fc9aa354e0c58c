import { InvalidInputError } from '#core/errors.ts';

/** Largest losses that a plan may have against full generations of the same prompts; 0.01 is 1 %. */
export interface Objective {
  adherence: number;
  frechet: number;
}

export const DEFAULT_OBJECTIVE = 'adherence:0.01,fd:0.05';

const NAMES: Readonly<Record<string, keyof Objective>> = {
  adherence: 'adherence',
  fd: 'frechet',
  frechet: 'frechet',
};

/**
 * Reads `adherence:0.01,fd:0.05`; what is not named keeps its default.
 *
 * @throws InvalidInputError for an unknown name or a number that is not in 0..1.
 */
export function parseObjective(text: string): Objective {
  const objective: Objective = { adherence: 0.01, frechet: 0.05 };
  for (const piece of text.split(',')) {
    const [name = '', value = ''] = piece.split(':').map((part) => part.trim());
    const known = NAMES[name];
    if (known === undefined) {
      throw new InvalidInputError(
        'objective',
        `"${name}" is no loss that is measured`,
        `name adherence and fd, as in ${DEFAULT_OBJECTIVE}`,
      );
    }
    const share = Number(value);
    if (!(share > 0 && share < 1) || value === '') {
      throw new InvalidInputError(
        'objective',
        `${name} "${value}" is not a share between 0 and 1`,
        `give the largest loss, as in ${DEFAULT_OBJECTIVE}`,
      );
    }
    objective[known] = share;
  }
  return objective;
}
