import type { CfnElement } from 'aws-cdk-lib';
import { Template } from 'aws-cdk-lib/assertions';
import { createApp } from './create-app.ts';

/** A state machine in Amazon States Language. */
export interface StateMachineDefinition {
  Comment?: string;
  StartAt: string;
  TimeoutSeconds?: number;
  States: Record<string, { Type: string; [field: string]: unknown }>;
}

export type MachineName = 'generate' | 'backfill';

export const MACHINES: readonly MachineName[] = ['generate', 'backfill'];

/** Returns the file from which the embedded cloud reads the definition. */
export function definitionFile(machine: MachineName): string {
  return `local/${machine}.asl.json`;
}

/** Synthesizes the definitions of the state machines as CloudFormation deploys them. */
export function synthesizeDefinitions(): Record<MachineName, StateMachineDefinition> {
  const { workflow } = createApp({ context: { bundle: 'false' } });
  const resources = Template.fromStack(workflow).findResources('AWS::StepFunctions::StateMachine');
  const logicalIds = MACHINES.map((name) =>
    workflow.getLogicalId(workflow[name].node.defaultChild as CfnElement),
  );
  const references = Object.fromEntries(
    logicalIds.map((id) => [id, `arn:aws:states:us-east-1:000000000000:stateMachine:${id}`]),
  );
  const definitions = MACHINES.map((name, index) => {
    const { DefinitionString: text } = resources[logicalIds[index]!]!['Properties'] as {
      DefinitionString: unknown;
    };
    return [name, JSON.parse(resolveIntrinsics(text, references))] as const;
  });
  return Object.fromEntries(definitions) as Record<MachineName, StateMachineDefinition>;
}

/**
 * Returns a template string with CloudFormation's intrinsic functions replaced by example values.
 *
 * @param references values of `Ref`, by logical id
 */
export function resolveIntrinsics(
  value: unknown,
  references: Readonly<Record<string, string>> = {},
): string {
  if (typeof value === 'string') return value;
  const [name, argument] = Object.entries(value as Record<string, unknown>)[0] ?? [];
  switch (name) {
    case 'Fn::Join': {
      const [separator, parts] = argument as [string, unknown[]];
      return parts.map((part) => resolveIntrinsics(part, references)).join(separator);
    }
    case 'Fn::GetAtt': {
      const [logicalId, attribute] = argument as [string, string];
      if (attribute === 'Arn') {
        return `arn:aws:lambda:us-east-1:000000000000:function:${logicalId}`;
      }
      break;
    }
    case 'Fn::ImportValue':
      return exampleName(argument as string);
    case 'Ref': {
      if (argument === 'AWS::Partition') return 'aws';
      const known = references[String(argument)];
      if (known !== undefined) return known;
      break;
    }
  }
  throw new Error(`the definition uses ${JSON.stringify(value)}, which has no example value`);
}

/** Returns an example bucket name for an export of the storage stack: lower case, at most 63 characters. */
function exampleName(exportName: string): string {
  return exportName
    .replaceAll(/[^A-Za-z0-9]+/g, '-')
    .toLowerCase()
    .slice(0, 63);
}
