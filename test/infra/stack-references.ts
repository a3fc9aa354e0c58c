import type { CloudAssembly } from 'aws-cdk-lib/cx-api';

interface Template {
  Resources: Record<string, { Type: string }>;
  Outputs?: Record<string, { Value: unknown; Export?: { Name: string } }>;
}

/** What one stack takes from another one, each time that it does. */
export interface StackReference {
  consumer: string;
  producer: string;
  /** `weak`: looked up whenever the consumer is deployed. `strong`: an export that cannot change. */
  strength: 'weak' | 'strong';
  /** What is taken: the type of its resource, such as `AWS::SQS::Queue`. */
  resourceType: string;
}

/** Every reference from stack to stack, in the order of stacks and templates. */
export function stackReferencesOf(assembly: CloudAssembly): StackReference[] {
  const templates = new Map(
    assembly.stacks.map((stack) => [stack.stackName, stack.template as Template]),
  );
  const exported = new Map(
    [...templates].flatMap(([stack, { Outputs: outputs = {} }]) =>
      Object.values(outputs).flatMap(({ Value: value, Export: as }) =>
        as === undefined ? [] : [[as.Name, { stack, value }] as const],
      ),
    ),
  );
  const referenceOf = (consumer: string, name: string, argument: unknown): StackReference[] => {
    if (name === 'Fn::GetStackOutput') {
      const { StackName: producer, OutputName: output } = argument as Record<string, string>;
      const template = templates.get(producer!)!;
      const resourceType = typeOf(template, template.Outputs![output!]!.Value);
      return [{ consumer, producer: producer!, strength: 'weak', resourceType }];
    }
    if (name === 'Fn::ImportValue') {
      const { stack: producer, value } = exported.get(argument as string)!;
      const resourceType = typeOf(templates.get(producer)!, value);
      return [{ consumer, producer, strength: 'strong', resourceType }];
    }
    return referencesIn(consumer, argument);
  };
  const referencesIn = (consumer: string, value: unknown): StackReference[] =>
    typeof value === 'object' && value !== null
      ? Object.entries(value).flatMap(([name, inside]) => referenceOf(consumer, name, inside))
      : [];
  return [...templates].flatMap(([consumer, template]) => referencesIn(consumer, template));
}

function typeOf({ Resources: resources }: Template, value: unknown): string {
  const { Ref: reference, 'Fn::GetAtt': attribute } = value as {
    Ref?: string;
    'Fn::GetAtt'?: [string, string];
  };
  return resources[reference ?? attribute![0]]!.Type;
}
