import type { CloudFormationCustomResourceEvent } from 'aws-lambda';
import { describe, expect, it } from 'vitest';
import { createDesiredCountHandler } from '#functions/desired-count/handler.ts';

function event(requestType: 'Create' | 'Update' | 'Delete'): CloudFormationCustomResourceEvent {
  return {
    RequestType: requestType,
    ServiceToken: 'token',
    ResponseURL: 'https://cloudformation.example/answer',
    StackId: 'stack',
    RequestId: 'request',
    LogicalResourceId: 'DesiredCountNow',
    ResourceType: 'Custom::DesiredCount',
    ResourceProperties: { ServiceToken: 'token', Cluster: 'cluster', Service: 'worker' },
    ...(requestType !== 'Create' && { PhysicalResourceId: 'made-before' }),
  } as CloudFormationCustomResourceEvent;
}

async function answerTo(
  requestType: Parameters<typeof event>[0],
  desiredCount: (cluster: string, service: string) => Promise<number>,
): Promise<Record<string, unknown>> {
  const answers: [url: string, body: string][] = [];
  const handle = createDesiredCountHandler({
    desiredCount,
    send: async (url, body) => void answers.push([url, body]),
  });
  await handle(event(requestType));
  expect(answers.map(([url]) => url)).toEqual(['https://cloudformation.example/answer']);
  return JSON.parse(answers[0]![1]) as Record<string, unknown>;
}

describe('the custom resource of the desired count', () => {
  it('tells a deployment how many workers the service has been asked for', async () => {
    // Act
    const answer = await answerTo('Update', async (cluster, service) =>
      cluster === 'cluster' && service === 'worker' ? 3 : 0,
    );

    // Assess
    expect(answer).toEqual({
      StackId: 'stack',
      RequestId: 'request',
      LogicalResourceId: 'DesiredCountNow',
      PhysicalResourceId: 'made-before',
      Status: 'SUCCESS',
      Data: { DesiredCount: 3 },
    });
  });

  it('has an id of its own from its creation on', async () => {
    // Assess
    expect(await answerTo('Create', async () => 0)).toMatchObject({
      PhysicalResourceId: 'DesiredCountNow',
      Data: { DesiredCount: 0 },
    });
  });

  it('fails the deployment rather than guess, and says why', async () => {
    // Assess
    expect(await answerTo('Update', () => Promise.reject(new Error('no access')))).toMatchObject({
      Status: 'FAILED',
      Reason: 'look at service worker: Error: no access',
    });
  });

  it('lets itself be deleted though nothing can be asked any more', async () => {
    // Assess
    expect(await answerTo('Delete', () => Promise.reject(new Error('gone')))).toMatchObject({
      Status: 'SUCCESS',
      PhysicalResourceId: 'made-before',
    });
  });
});
