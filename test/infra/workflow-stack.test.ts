import { Match, Template } from 'aws-cdk-lib/assertions';
import validate from 'asl-validator';
import { beforeAll, describe, expect, it } from 'vitest';
import { createApp } from '#infra/create-app.ts';
import { synthesizeGenerateDefinition } from '#infra/generate-definition.ts';

interface State {
  Type: string;
  Next?: string;
  End?: boolean;
  Resource?: string;
  TimeoutSeconds?: number;
  HeartbeatSeconds?: number;
  ResultPath?: string | null;
  Parameters?: { MessageBody?: Record<string, unknown> };
  Retry?: { ErrorEquals: string[]; JitterStrategy?: string; MaxAttempts?: number }[];
  Catch?: { ErrorEquals: string[]; Next: string; ResultPath: string }[];
  [field: string]: unknown;
}

describe('the generate state machine', () => {
  let states: Record<string, State>;
  let definition: ReturnType<typeof synthesizeGenerateDefinition>;

  beforeAll(() => {
    definition = synthesizeGenerateDefinition();
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
      'IsExact',
      'Lookup',
    ]);
    expect(definition.StartAt).toBe('Embed');
    expect(states['Embed']!.Next).toBe('Lookup');
    expect(states['Lookup']!.Next).toBe('IsExact');
    expect(states['Generate']!.Next).toBe('Commit');
    expect(states['Commit']!.End).toBe(true);
  });

  it('skips the generation on an exact hit only', () => {
    // Assess
    expect(states['IsExact']).toMatchObject({
      Choices: [{ Variable: '$.lookup.plan.hit', StringEquals: 'exact', Next: 'Commit' }],
      Default: 'Generate',
    });
  });

  it('hands the worker keys and vectors with the token that it must answer', () => {
    // Assess
    expect(states['Generate']!.Resource).toMatch(/:states:::sqs:sendMessage\.waitForTaskToken$/);
    expect(states['Generate']!.Parameters!.MessageBody).toEqual({
      'taskToken.$': '$$.Task.Token',
      'request.$': '$.request',
      'plan.$': '$.lookup.plan',
      'embedding.$': '$.embed.embedding',
    });
  });

  it('waits longer for a heartbeat than a queue and a cold start take, and less than for the result', () => {
    // Prepare
    const { HeartbeatSeconds: heartbeat, TimeoutSeconds: timeout } = states['Generate']!;

    // Assess
    expect(heartbeat).toBeGreaterThanOrEqual(1800);
    expect(timeout).toBeGreaterThan(heartbeat!);
    expect(definition.TimeoutSeconds).toBeGreaterThan(timeout!);
  });

  it('gives every task a time limit and every retry full jitter', () => {
    // Prepare
    const tasks = Object.values(states).filter((state) => state.Type === 'Task');

    // Assess
    expect(tasks).toHaveLength(5);
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
    for (const name of ['Embed', 'Lookup', 'Commit', 'Fail']) {
      expect(retried(name)).toEqual([
        'Lambda.AWSLambdaException',
        'Lambda.ClientExecutionTimeoutException',
        'Lambda.SdkClientException',
        'Lambda.ServiceException',
        'Lambda.TooManyRequestsException',
        'Transient',
      ]);
    }
    expect(retried('Generate')).toEqual([
      'SQS.AmazonSQSException',
      'SQS.SdkClientException',
      'States.HeartbeatTimeout',
    ]);
  });

  it('brings every error to Fail with what is known of the request', () => {
    // Assess
    for (const name of ['Embed', 'Lookup', 'Generate', 'Commit']) {
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
    expect(functions).toHaveLength(4);
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

  it('ends the job of an execution that no Catch could end', () => {
    // Assess
    template.hasResourceProperties('AWS::Events::Rule', {
      EventPattern: {
        source: ['aws.states'],
        detail: { status: ['FAILED', 'TIMED_OUT', 'ABORTED'] },
      },
      Targets: [
        Match.objectLike({
          InputTransformer: {
            InputPathsMap: { 'detail-name': '$.detail.name', 'detail-status': '$.detail.status' },
            InputTemplate:
              '{"request":{"videoId":<detail-name>},"error":{"Error":"Execution.<detail-status>","Cause":""}}',
          },
        }),
      ],
    });
  });
});
