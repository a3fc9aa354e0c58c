import { InvalidInputError } from '#core/errors.ts';

/** Maximum losses of a plan relative to full generations of the same prompts; 0.01 is 1 %. */
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
 * Parses `adherence:0.01,fd:0.05`; unnamed losses keep their default.
 *
 * @throws InvalidInputError for an unknown name or a number outside 0..1
 */
export function parseObjective(text: string): Objective {
  const objective: Objective = { adherence: 0.01, frechet: 0.05 };
  for (const piece of text.split(',')) {
    const [name = '', value = ''] = piece.split(':').map((part) => part.trim());
    const known = NAMES[name];
    if (known === undefined) {
      throw new InvalidInputError(
        'objective',
        `"${name}" is not a measured loss`,
        `use adherence and fd, as in ${DEFAULT_OBJECTIVE}`,
      );
    }
    const share = Number(value);
    if (!(share > 0 && share < 1) || value === '') {
      throw new InvalidInputError(
        'objective',
        `${name} "${value}" is not a share between 0 and 1`,
        `give the maximum loss, as in ${DEFAULT_OBJECTIVE}`,
      );
    }
    objective[known] = share;
  }
  return objective;
}
