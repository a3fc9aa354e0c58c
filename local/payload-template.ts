import { StateMachine, type StateMachineDefinition } from 'aws-local-stepfunctions';

/** The context object of a state, what `$$` stands for. */
export type StateContext = Readonly<Record<string, unknown>>;

/**
 * A payload template with its paths replaced by what they name: the library's own evaluation, so
 * that a path means one thing everywhere.
 */
export async function resolveTemplate(
  template: object,
  input: unknown,
  context: StateContext = {},
): Promise<Record<string, unknown>> {
  const definition = {
    StartAt: 'Resolve',
    States: { Resolve: { Type: 'Pass', Parameters: template, End: true } },
  } as unknown as StateMachineDefinition;
  const machine = new StateMachine(definition, { validationOptions: { noValidate: true } });
  const result = await machine.run(input as never, { context }).result;
  return result as Record<string, unknown>;
}
