import type { CloudAssembly } from 'aws-cdk-lib/cx-api';

interface Template {
  Resources: Record<string, { Type: string; Properties: Record<string, unknown> }>;
  Outputs?: Record<string, { Value: unknown; Export?: { Name: string } }>;
}

interface Statement {
  Action: string | string[];
  Resource: unknown;
}

/** What a role may do: actions by resource, both sorted. */
export type Permissions = Record<string, string[]>;

/**
 * Who may do what in all stacks, by the name of the role. Resources have the names that they have in
 * the code, `Table/index/by-owner`; those of a role's own logs are left out.
 */
export function permissionsOf(assembly: CloudAssembly): Record<string, Permissions> {
  const templates = new Map(
    assembly.stacks.map((stack) => [stack.stackName, stack.template as Template]),
  );
  const roles: Record<string, Permissions> = {};
  for (const template of templates.values()) {
    for (const { Type: type, Properties: properties } of Object.values(template.Resources)) {
      if (type !== 'AWS::IAM::Policy') continue;
      const { Statement: statements } = properties['PolicyDocument'] as { Statement: Statement[] };
      for (const role of properties['Roles'] as unknown[]) {
        const permissions = (roles[nameOf(role, templates)] ??= {});
        for (const { Action: action, Resource: resource } of statements) {
          for (const one of [resource].flat()) {
            const name = nameOf(one, templates);
            if (name.endsWith('Logs')) continue;
            permissions[name] = [...(permissions[name] ?? []), ...[action].flat()].sort();
          }
        }
      }
    }
  }
  return sorted(roles);
}

function sorted(roles: Record<string, Permissions>): Record<string, Permissions> {
  const byName = <Value>(record: Record<string, Value>): [string, Value][] =>
    Object.entries(record).sort(([first], [second]) => (first < second ? -1 : 1));
  return Object.fromEntries(
    byName(roles).map(([role, permissions]) => [role, Object.fromEntries(byName(permissions))]),
  );
}

/** CloudFormation's name without the hash that the CDK adds to it. */
function withoutHash(logicalId: string): string {
  return logicalId.replace(/[0-9A-F]{8}$/, '');
}

function nameOf(value: unknown, templates: Map<string, Template>): string {
  if (typeof value === 'string') return value;
  const [name, argument] = Object.entries(value as Record<string, unknown>)[0]!;
  switch (name) {
    case 'Ref':
      return withoutHash(argument as string);
    case 'Fn::GetAtt':
      return withoutHash((argument as string[])[0]!);
    case 'Fn::Join':
      return (argument as [string, unknown[]])[1].map((part) => nameOf(part, templates)).join('');
    case 'Fn::Sub':
      return argument as string;
    case 'Fn::Select': {
      const [, { 'Fn::Split': split }] = argument as [number, { 'Fn::Split': unknown[] }];
      return nameOf(split[1], templates);
    }
    case 'Fn::GetStackOutput': {
      const { StackName: stack, OutputName: output } = argument as Record<string, string>;
      return nameOf(templates.get(stack!)!.Outputs![output!]!.Value, templates);
    }
    case 'Fn::ImportValue': {
      const outputs = [...templates.values()].flatMap(({ Outputs: all = {} }) =>
        Object.values(all),
      );
      return nameOf(outputs.find(({ Export: as }) => as?.Name === argument)!.Value, templates);
    }
  }
  throw new Error(`${JSON.stringify(value)} has no name`);
}
