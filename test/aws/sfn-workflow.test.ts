import {
  CreateStateMachineCommand,
  DescribeExecutionCommand,
  SFNClient,
} from '@aws-sdk/client-sfn';
import { CreateQueueCommand, ReceiveMessageCommand, SQSClient } from '@aws-sdk/client-sqs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ConditionFailedError } from '#core/errors.ts';
import type { GenerationResult } from '#core/generation.ts';
import { TaskGoneError } from '#ports/errors.ts';
import { SfnTaskCallbacks, SfnWorkflowStarter } from '#aws/sfn-workflow.ts';
import { describeOnMoto } from '../describe-on-moto.ts';
import { motoClientOptions } from '../moto.ts';
import { sampleRequest, unique } from './samples.ts';

const OUTPUT = { videoKey: 'videos/v/1.mp4' } as GenerationResult;

describeOnMoto('Step Functions on moto', (endpoint) => {
  const options = motoClientOptions(endpoint || 'http://127.0.0.1:9');
  const client = new SFNClient(options);
  const sqs = new SQSClient(options);
  const callbacks = new SfnTaskCallbacks({ client });
  let stateMachineArn: string;
  let queueUrl: string;

  beforeAll(async () => {
    await executeStateMachines(true);
    queueUrl = (await sqs.send(new CreateQueueCommand({ QueueName: unique('tasks-') }))).QueueUrl!;
    stateMachineArn = (
      await client.send(
        new CreateStateMachineCommand({
          name: unique('generate-'),
          roleArn: 'arn:aws:iam::123456789012:role/generate',
          definition: JSON.stringify(waitForAnswer(queueUrl)),
        }),
      )
    ).stateMachineArn!;
  });
  afterAll(() => executeStateMachines(false));

  async function executeStateMachines(isOn: boolean): Promise<void> {
    await fetch(`${endpoint}/moto-api/config`, {
      method: 'POST',
      body: JSON.stringify({ stepfunctions: { execute_state_machine: isOn } }),
    });
  }

  async function startAndTakeToken(): Promise<{ videoId: string; taskToken: string }> {
    const request = sampleRequest();
    await new SfnWorkflowStarter({ stateMachineArn, client }).start(request, 1);
    for (;;) {
      const { Messages: [message] = [] } = await sqs.send(
        new ReceiveMessageCommand({ QueueUrl: queueUrl, WaitTimeSeconds: 5 }),
      );
      if (!message) continue;
      const body = JSON.parse(message.Body!) as { taskToken: string; request: { videoId: string } };
      if (body.request.videoId === request.videoId) {
        return { videoId: request.videoId, taskToken: body.taskToken };
      }
    }
  }

  async function describeWhenDone(videoId: string) {
    const executionArn = `${stateMachineArn.replace(':stateMachine:', ':execution:')}:${videoId}`;
    for (;;) {
      const described = await client.send(new DescribeExecutionCommand({ executionArn }));
      if (described.status !== 'RUNNING') return described;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  describe('SfnWorkflowStarter', () => {
    test('the same request may be started again and again', async () => {
      const starter = new SfnWorkflowStarter({ stateMachineArn, client });
      const request = sampleRequest();

      await starter.start(request, 1);
      await starter.start(request, 1);
      await starter.start({ ...request }, 1);
    });

    test('another request under the same video id is refused', async () => {
      const starter = new SfnWorkflowStarter({ stateMachineArn, client });
      const request = sampleRequest();
      await starter.start(request, 1);

      await expect(starter.start({ ...request, seed: 8 }, 1)).rejects.toThrow(ConditionFailedError);
    });

    test('each attempt has an execution of its own', async () => {
      const starter = new SfnWorkflowStarter({ stateMachineArn, client });
      const request = sampleRequest();
      await starter.start(request, 1);

      await starter.start(request, 2);

      const executionArn = stateMachineArn.replace(':stateMachine:', ':execution:');
      const second = await client.send(
        new DescribeExecutionCommand({ executionArn: `${executionArn}:${request.videoId}-2` }),
      );
      expect(JSON.parse(second.input!)).toEqual({ request });
    });

    test('a state machine that is not there is named with a fix', async () => {
      const absent = stateMachineArn.replace(/[^:]+$/, 'absent');
      const starter = new SfnWorkflowStarter({ stateMachineArn: absent, client });

      await expect(starter.start(sampleRequest(), 1)).rejects.toMatchObject({ code: 'not_found' });
    });
  });

  describe('SfnTaskCallbacks', () => {
    test('a success lets the workflow go on with the output', async () => {
      const { videoId, taskToken } = await startAndTakeToken();

      await callbacks.sendTaskHeartbeat(taskToken);
      await callbacks.sendTaskSuccess(taskToken, OUTPUT);

      const execution = await describeWhenDone(videoId);
      expect(execution.status).toBe('SUCCEEDED');
      expect(JSON.parse(execution.output!)).toEqual(OUTPUT);
    });

    test('a failure fails the workflow with its reason', async () => {
      const { videoId, taskToken } = await startAndTakeToken();

      await callbacks.sendTaskFailure(taskToken, 'E'.repeat(300), 'why'.repeat(20_000));

      const execution = await describeWhenDone(videoId);
      expect(execution).toMatchObject({ status: 'FAILED', error: 'E'.repeat(256) });
    });

    test('a token that nobody waits on is gone', async () => {
      const token = 'AAAAKgAAAAIAAAAAAAAAAbogus';

      await expect(callbacks.sendTaskHeartbeat(token)).rejects.toThrow(TaskGoneError);
      await expect(callbacks.sendTaskSuccess(token, OUTPUT)).rejects.toThrow(TaskGoneError);
      await expect(callbacks.sendTaskFailure(token, 'E', 'c')).rejects.toThrow(TaskGoneError);
    });
  });
});

/** Moto stops only executions that it does not run. */
describeOnMoto('Step Functions on moto, without running anything', (endpoint) => {
  test('a stopped execution is aborted; stopping what is not there is harmless', async () => {
    const client = new SFNClient(motoClientOptions(endpoint));
    const created = await client.send(
      new CreateStateMachineCommand({
        name: unique('generate-'),
        roleArn: 'arn:aws:iam::123456789012:role/generate',
        definition: JSON.stringify(waitForAnswer('https://sqs.invalid/queue')),
      }),
    );
    const stateMachineArn = created.stateMachineArn!;
    const starter = new SfnWorkflowStarter({ stateMachineArn, client });
    const request = sampleRequest();
    await starter.start(request, 2);

    await starter.stop(request.videoId, 2);
    await starter.stop(request.videoId, 2);
    await starter.stop('vid_nobody', 3);

    const executions = stateMachineArn.replace(':stateMachine:', ':execution:');
    const stopped = await client.send(
      new DescribeExecutionCommand({ executionArn: `${executions}:${request.videoId}-2` }),
    );
    expect(stopped.status).toBe('ABORTED');
  });
});

function waitForAnswer(queueUrl: string) {
  return {
    StartAt: 'Generate',
    States: {
      Generate: {
        Type: 'Task',
        Resource: 'arn:aws:states:::sqs:sendMessage.waitForTaskToken',
        Parameters: {
          QueueUrl: queueUrl,
          MessageBody: { 'taskToken.$': '$$.Task.Token', 'request.$': '$.request' },
        },
        HeartbeatSeconds: 60,
        End: true,
      },
    },
  };
}
