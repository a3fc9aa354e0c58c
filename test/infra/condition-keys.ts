/**
 * Which condition keys a request for an action carries, of the actions that stand under a condition.
 * A key that is not in the request makes the condition false. Source: "Actions, resources, and
 * condition keys" of each service in AWS's Service Authorization Reference.
 */
const CONDITION_KEYS: Readonly<Record<string, readonly string[]>> = {
  'ecs:DeregisterContainerInstance': [],
  'ecs:DiscoverPollEndpoint': [],
  'ecs:Poll': ['ecs:cluster'],
  'ecs:RegisterContainerInstance': ['aws:RequestTag', 'aws:TagKeys'],
  'ecs:StartTelemetrySession': ['ecs:cluster'],
  'ecs:SubmitAttachmentStateChanges': [],
  'ecs:SubmitContainerStateChange': [],
  'ecs:SubmitTaskStateChange': [],
  'ecs:UpdateContainerInstancesState': ['ecs:cluster'],
  's3:*': ['s3:TlsVersion'],
  'sqs:*': [],
  // By a service, for a resource of an account.
  'sqs:SendMessage': ['aws:SourceAccount', 'aws:SourceArn'],
  'sts:AssumeRole': ['aws:SourceAccount', 'aws:SourceArn'],
};

/** In every request, whatever its action. */
const KEYS_OF_EVERY_REQUEST: readonly string[] = ['aws:SecureTransport', 'aws:CurrentTime'];

/** An action and a key of its condition, with where they stand. */
export interface ConditionedAction {
  stack: string;
  resource: string;
  action: string;
  key: string;
  isKnown: boolean;
}

interface Statement {
  Effect: string;
  Action: string | string[];
  Condition?: Record<string, Record<string, unknown>>;
}

/** Every action under a condition in any policy of any stack, whatever kind of policy it is. */
export function conditionedActionsOf(
  templates: Iterable<{ stackName: string; template: unknown }>,
): ConditionedAction[] {
  return [...templates].flatMap(({ stackName, template }) =>
    Object.entries((template as { Resources: Record<string, unknown> }).Resources).flatMap(
      ([resource, definition]) =>
        statementsIn(definition).flatMap(({ Action: action, Condition: condition = {} }) =>
          [action].flat().flatMap((one) =>
            Object.values(condition)
              .flatMap((keys) => Object.keys(keys))
              .map((key) => ({
                stack: stackName,
                resource,
                action: one,
                key,
                isKnown: isKeyOf(one, key),
              })),
          ),
        ),
    ),
  );
}

/** Keys such as `aws:ResourceTag/name` are listed without what they name. */
function isKeyOf(action: string, key: string): boolean {
  const [name] = key.split('/') as [string];
  return KEYS_OF_EVERY_REQUEST.includes(name) || (CONDITION_KEYS[action] ?? []).includes(name);
}

function statementsIn(value: unknown): Statement[] {
  if (typeof value !== 'object' || value === null) return [];
  const inside = Object.values(value).flatMap(statementsIn);
  return 'Effect' in value && 'Action' in value ? [value as Statement, ...inside] : inside;
}
