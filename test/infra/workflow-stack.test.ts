import { Match, Template } from 'aws-cdk-lib/assertions';
import validate from 'asl-validator';
import { beforeAll, describe, expect, it } from 'vitest';
import { createApp } from '#infra/create-app.ts';
import { synthesizeDefinitions, type StateMachineDefinition } from '#infra/definitions.ts';

interface State {
  Type: string;
  Next?: string;
  End?: boolean;
  Resource?: string;
  TimeoutSeconds?: number;
  HeartbeatSeconds?: number;
  ResultPath?: string | null;
  Parameters?: Record<string, unknown>;
  Retry?: {
    ErrorEquals: string[];
    JitterStrategy?: string;
    MaxAttempts?: number;
    IntervalSeconds?: number;
    BackoffRate?: number;
    MaxDelaySeconds?: number;
  }[];
  Catch?: { ErrorEquals: string[]; Next: string; ResultPath: string }[];
  [field: string]: unknown;
}

/** What a retrier waits in all when no jitter shortens it. */
function longestWaitSeconds(retry: NonNullable<State['Retry']>[number]): number {
  const { IntervalSeconds: first, BackoffRate: rate, MaxDelaySeconds: most } = retry;
  return Array.from({ length: retry.MaxAttempts! }, (_, attempt) =>
    Math.min(most!, first! * rate! ** attempt),
  ).reduce((sum, seconds) => sum + seconds, 0);
}

describe('the generate state machine', () => {
  let states: Record<string, State>;
  let definition: StateMachineDefinition;

  beforeAll(() => {
    definition = synthesizeDefinitions().generate;
    states = definition.States as Record<string, State>;
  });

  it('is valid Amazon States Language', () => {
    // Act
    const { isValid, errorsText } = validate(definition);

    // Assess
    expect(isValid, errorsText()).toBe(true);
  });

  it('has few states: each transition is paid for', () => {
    // Assess
    expect(Object.keys(states).sort()).toEqual([
      'Commit',
      'Embed',
      'Fail',
      'Failed',
      'Generate',
      'GenerateInBackfill',
      'IsExact',
      'Lookup',
    ]);
    expect(definition.StartAt).toBe('Embed');
    expect(states['Embed']!.Next).toBe('Lookup');
    expect(states['Lookup']!.Next).toBe('IsExact');
    expect(states['Generate']!.Next).toBe('Commit');
    expect(states['GenerateInBackfill']!.Next).toBe('Commit');
    expect(states['Commit']!.End).toBe(true);
  });

  it('skips the generation on an exact hit only', () => {
    // Assess
    expect(states['IsExact']).toMatchObject({
      Choices: [
        { Variable: '$.lookup.plan.hit', StringEquals: 'exact', Next: 'Commit' },
        { Variable: '$.request.pool', StringEquals: 'backfill', Next: 'GenerateInBackfill' },
      ],
      Default: 'Generate',
    });
  });

  it('hands the worker keys and vectors with the token that it must answer', () => {
    // Assess
    expect(states['Generate']!.Resource).toBe('arn:aws:states:::lambda:invoke.waitForTaskToken');
    expect(states['Generate']!.Parameters).toEqual({
      FunctionName: expect.stringContaining(':function:Dispatch'),
      Payload: {
        'taskToken.$': '$$.Task.Token',
        'request.$': '$.request',
        'plan.$': '$.lookup.plan',
        'embedding.$': '$.embed.embedding',
      },
    });
  });

  it('counts no waiting against a worker, and lets an execution outlive all of its states', () => {
    for (const name of ['Generate', 'GenerateInBackfill']) {
      // Prepare
      const { HeartbeatSeconds: heartbeat, TimeoutSeconds: timeout } = states[name]!;

      // Assess
      expect(heartbeat).toBe(timeout! - 1);
      expect(timeout).toBeGreaterThanOrEqual(24 * 3600);
      expect(definition.TimeoutSeconds).toBeGreaterThan(timeout! + 3600);
    }
  });

  it('gives every task a time limit and every retry full jitter', () => {
    // Prepare
    const tasks = Object.values(states).filter((state) => state.Type === 'Task');

    // Assess
    expect(tasks).toHaveLength(6);
    for (const task of tasks) {
      expect(task.TimeoutSeconds).toBeGreaterThan(0);
      for (const retry of task.Retry!) expect(retry.JitterStrategy).toBe('FULL');
    }
  });

  it('retries what may pass, and nothing else', () => {
    // Prepare
    const retried = (name: string) =>
      states[name]!.Retry!.flatMap((retry) => retry.ErrorEquals).sort();

    // Assess
    const transient = [
      'Lambda.AWSLambdaException',
      'Lambda.ClientExecutionTimeoutException',
      'Lambda.SdkClientException',
      'Lambda.ServiceException',
      'Lambda.TooManyRequestsException',
    ];
    for (const name of ['Embed', 'Lookup', 'Generate', 'GenerateInBackfill', 'Commit', 'Fail']) {
      expect(retried(name)).toEqual([...transient, 'Transient']);
    }
  });

  it('waits minutes, not seconds, while Lambda has no room for another call', () => {
    // Prepare
    const tasks = Object.values(states).filter((state) => state.Type === 'Task');

    // Assess
    for (const { Retry: retries } of tasks) {
      const throttled = retries!.find(({ ErrorEquals: errors }) =>
        errors.includes('Lambda.TooManyRequestsException'),
      )!;
      expect(longestWaitSeconds(throttled)).toBeGreaterThan(5 * 60);
    }
  });

  it('brings every error to Fail with what is known of the request', () => {
    // Assess
    for (const name of ['Embed', 'Lookup', 'Generate', 'GenerateInBackfill', 'Commit']) {
      expect(states[name]!.Catch).toEqual([
        { ErrorEquals: ['States.ALL'], ResultPath: '$.error', Next: 'Fail' },
      ]);
    }
    expect(states['Fail']).toMatchObject({ ResultPath: null, Next: 'Failed' });
    expect(states['Failed']).toMatchObject({
      Type: 'Fail',
      ErrorPath: '$.error.Error',
      CausePath: '$.error.Cause',
    });
  });
});

describe('the workflow stack', () => {
  let template: Template;

  beforeAll(() => {
    const { workflow } = createApp({ context: { bundle: 'false' } });
    template = Template.fromStack(workflow);
  });

  it('runs a Standard machine that keeps prompts out of its logs', () => {
    // Assess
    template.hasResourceProperties('AWS::StepFunctions::StateMachine', {
      StateMachineType: 'STANDARD',
      LoggingConfiguration: Match.objectLike({ IncludeExecutionData: false, Level: 'ERROR' }),
    });
  });

  it('gives every function the same runtime, processor and log retention', () => {
    // Prepare
    const functions = Object.values(template.findResources('AWS::Lambda::Function'));

    // Assess
    expect(functions).toHaveLength(9);
    for (const { Properties: properties } of functions as { Properties: object }[]) {
      expect(properties).toMatchObject({
        Runtime: 'nodejs24.x',
        Architectures: ['x86_64'],
        Handler: 'index.handler',
        LoggingConfig: { LogFormat: 'JSON', LogGroup: expect.anything() },
      });
    }
    template.allResourcesProperties('AWS::Logs::LogGroup', { RetentionInDays: 30 });
  });

  it.each([
    ['{"execution":<detail-name>,', 'Fail'],
    ['{"backfillId":<detail-name>,', 'Close'],
  ])('ends what an execution stood for that no Catch could end: %s to %s', (input, name) => {
    // Assess
    template.hasResourceProperties('AWS::Events::Rule', {
      EventPattern: {
        source: ['aws.states'],
        detail: { status: ['FAILED', 'TIMED_OUT', 'ABORTED'] },
      },
      Targets: [
        Match.objectLike({
          Arn: { 'Fn::GetAtt': [Match.stringLikeRegexp(`^${name}`), 'Arn'] },
          InputTransformer: {
            InputPathsMap: { 'detail-name': '$.detail.name', 'detail-status': '$.detail.status' },
            InputTemplate: `${input}"error":{"Error":"Execution.<detail-status>","Cause":""}}`,
          },
        }),
      ],
    });
  });

  it('lets the map of a backfill start itself, and touch what is under backfills/ alone', () => {
    // Prepare
    const statements = Object.entries(template.findResources('AWS::IAM::Policy'))
      .filter(([id]) => id.startsWith('Backfill'))
      .flatMap(([, policy]) => policy['Properties'].PolicyDocument.Statement) as {
      Action: string | string[];
      Resource: unknown;
    }[];
    const resourcesOf = (action: string): string[] =>
      statements
        .filter(({ Action: actions }) => [actions].flat().includes(action))
        .map(({ Resource: resource }) => JSON.stringify(resource));

    // Assess
    expect(resourcesOf('s3:GetObject')).toHaveLength(1);
    for (const action of ['s3:GetObject', 's3:PutObject']) {
      for (const resource of resourcesOf(action)) expect(resource).toMatch(/\/backfills\/\*/);
    }
    expect(resourcesOf('states:StartExecution').join()).toMatch(
      /Backfill.*Generate|Generate.*Backfill/,
    );
    expect(resourcesOf('lambda:InvokeFunction').join()).not.toContain('Embed');
  });

  it('loses no end of an execution: what Fail and Close could not take is kept for another time', () => {
    // Prepare
    const kept = { 'Fn::ImportValue': expect.stringContaining('LostEnds') };
    const functions = template.findResources('AWS::Lambda::Function');
    const deadLetterQueues = Object.entries(functions)
      .filter(([logicalId]) => /^(Fail|Close)[0-9A-F]{8}$/.test(logicalId))
      .map(([, { Properties: properties }]) => properties['DeadLetterConfig'].TargetArn as unknown);
    const rules = Object.values(template.findResources('AWS::Events::Rule'))
      .filter(({ Properties: properties }) => properties['EventPattern'] !== undefined)
      .map(
        ({ Properties: properties }) => properties['Targets'][0].DeadLetterConfig.Arn as unknown,
      );

    // Assess
    expect(deadLetterQueues).toEqual([kept, kept]);
    expect(rules).toEqual([kept, kept]);
  });

  it('has no queue polled for what goes wrong: the fleet function looks into them', () => {
    // Assess
    template.resourceCountIs('AWS::Lambda::EventSourceMapping', 0);
  });

  it('looks at the queues every minute', () => {
    // Assess
    template.hasResourceProperties('AWS::Events::Rule', {
      ScheduleExpression: 'rate(1 minute)',
      Targets: [
        Match.objectLike({ Arn: { 'Fn::GetAtt': [Match.stringLikeRegexp('^Fleet'), 'Arn'] } }),
      ],
    });
  });
});

describe('the backfill state machine', () => {
  let definition: StateMachineDefinition;
  let lines: State & { ItemProcessor: { States: Record<string, State> } };

  beforeAll(() => {
    definition = synthesizeDefinitions().backfill;
    lines = definition.States['Lines'] as typeof lines;
  });

  it('is valid Amazon States Language', () => {
    // Act
    const { isValid, errorsText } = validate(definition);

    // Assess
    expect(isValid, errorsText()).toBe(true);
  });

  it('maps the prepared requests with the concurrency and tolerance of the backfill', () => {
    // Assess
    expect(lines).toMatchObject({
      Type: 'Map',
      ItemReader: {
        Resource: 'arn:aws:states:::s3:getObject',
        ReaderConfig: { InputType: 'JSONL' },
        Parameters: { 'Key.$': '$.prepared.requestsKey' },
      },
      MaxConcurrencyPath: '$.prepared.concurrency',
      ToleratedFailurePercentagePath: '$.prepared.toleratedFailurePercentage',
      ResultWriter: {
        Resource: 'arn:aws:states:::s3:putObject',
        Parameters: { 'Prefix.$': '$.prepared.resultsPrefix' },
      },
      ItemProcessor: { ProcessorConfig: { Mode: 'DISTRIBUTED', ExecutionType: 'STANDARD' } },
    });
  });

  it('runs generate under the name that a line was given, with the request alone', () => {
    // Assess: an input that differs from start to start would not join what runs already.
    expect(lines.ItemProcessor.States['Run']).toMatchObject({
      Resource: 'arn:aws:states:::states:startExecution.sync:2',
      Parameters: {
        'Name.$': '$.submitted.executionName',
        Input: { 'request.$': '$.submitted.request' },
      },
    });
  });

  it('waits longer for a video than a video may take', () => {
    // Assess
    const { TimeoutSeconds: generate } = synthesizeDefinitions().generate;
    expect(lines.ItemProcessor.States['Run']!.TimeoutSeconds).toBeGreaterThan(generate!);
  });

  it('gives every task a time limit and every retry full jitter', () => {
    // Prepare
    const states = { ...definition.States, ...lines.ItemProcessor.States } as Record<string, State>;
    const tasks = Object.values(states).filter((state) => state.Type === 'Task');

    // Assess
    expect(tasks).toHaveLength(5);
    for (const task of tasks) {
      expect(task.TimeoutSeconds).toBeGreaterThan(0);
      for (const retry of task.Retry!) expect(retry.JitterStrategy).toBe('FULL');
    }
  });

  it('brings every error to a close that fails with it', () => {
    // Assess
    for (const name of ['Prepare', 'Lines', 'Close']) {
      expect(definition.States[name]!['Catch']).toEqual([
        { ErrorEquals: ['States.ALL'], ResultPath: '$.error', Next: 'CloseFailed' },
      ]);
    }
    expect(definition.States['CloseFailed']).toMatchObject({ Next: 'BackfillFailed' });
  });
});
