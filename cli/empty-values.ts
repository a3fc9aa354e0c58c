import type { Command } from 'commander';
import { InvalidInputError } from '#core/errors.ts';

/** What has an error of its own when it is empty. */
const SAYS_ITSELF = 'prompt';

/**
 * Refuses options and arguments that are given without a value, as `--state "$UNSET"` is: an empty
 * path would mean the current folder.
 *
 * @throws InvalidInputError naming the option or argument.
 */
export function refuseEmptyValues(command: Command): void {
  for (let of: Command | null = command; of !== null; of = of.parent) {
    for (const option of of.options) {
      const name = option.attributeName();
      if (isEmpty(of.getOptionValue(name))) throw emptyValue(name, `${option.long}`);
    }
  }
  for (const [index, argument] of command.registeredArguments.entries()) {
    const name = argument.name();
    if (name !== SAYS_ITSELF && isEmpty(command.processedArgs[index])) {
      throw emptyValue(name, `<${name}>`);
    }
  }
}

function isEmpty(value: unknown): boolean {
  return value === '' || (Array.isArray(value) && value.includes(''));
}

function emptyValue(field: string, shown: string): InvalidInputError {
  return new InvalidInputError(field, `${shown} is empty`, 'give it a value, or leave it out');
}
