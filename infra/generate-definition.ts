import { Template } from 'aws-cdk-lib/assertions';
import { createApp } from './create-app.ts';

/** A state machine in Amazon States Language. */
export interface StateMachineDefinition {
  Comment?: string;
  StartAt: string;
  TimeoutSeconds?: number;
  States: Record<string, { Type: string; [field: string]: unknown }>;
}

/** Where the embedded cloud reads the definition. */
export const GENERATE_DEFINITION_FILE = 'local/generate.asl.json';

/** The definition of the `generate` state machine as CloudFormation would deploy it. */
export function synthesizeGenerateDefinition(): StateMachineDefinition {
  const { workflow } = createApp({ context: { bundle: 'false' } });
  const template = Template.fromStack(workflow);
  const machines = Object.values(template.findResources('AWS::StepFunctions::StateMachine'));
  if (machines.length !== 1) {
    throw new Error(`expected one state machine in the template, found ${machines.length}`);
  }
  const { DefinitionString: definition } = machines[0]!['Properties'] as {
    DefinitionString: unknown;
  };
  return JSON.parse(resolveIntrinsics(definition)) as StateMachineDefinition;
}

/** The text of a template's string with CloudFormation's functions replaced by example values. */
export function resolveIntrinsics(value: unknown): string {
  if (typeof value === 'string') return value;
  const [name, argument] = Object.entries(value as Record<string, unknown>)[0] ?? [];
  switch (name) {
    case 'Fn::Join': {
      const [separator, parts] = argument as [string, unknown[]];
      return parts.map(resolveIntrinsics).join(separator);
    }
    case 'Fn::GetAtt': {
      const [logicalId, attribute] = argument as [string, string];
      if (attribute === 'Arn') {
        return `arn:aws:lambda:us-east-1:000000000000:function:${logicalId}`;
      }
      break;
    }
    case 'Fn::GetStackOutput':
      return `https://sqs.us-east-1.amazonaws.com/000000000000/${String(
        (argument as { OutputName: string }).OutputName,
      )
        .replaceAll(/[^A-Za-z0-9]+/g, '-')
        .slice(0, 80)}`;
    case 'Ref':
      if (argument === 'AWS::Partition') return 'aws';
      break;
  }
  throw new Error(`the definition uses ${JSON.stringify(value)}, which has no example value`);
}
