import type { CloudFormationCustomResourceEvent } from 'aws-lambda';
import { DescribeServicesCommand, ECSClient } from '@aws-sdk/client-ecs';

/** What CloudFormation takes for an answer. */
interface Answer {
  Status: 'SUCCESS' | 'FAILED';
  Reason?: string;
  Data?: { DesiredCount: number };
}

export interface DesiredCountServices {
  /** Workers that a service is asked for now; 0 when there is no such service. */
  desiredCount: (cluster: string, service: string) => Promise<number>;
  send: (url: string, body: string) => Promise<void>;
}

/**
 * A custom resource that tells CloudFormation how many workers the service has been asked for, so that
 * a deployment leaves that number as it is. CloudFormation alone would write its own number each time.
 */
export function createDesiredCountHandler({
  desiredCount,
  send,
}: DesiredCountServices): (event: CloudFormationCustomResourceEvent) => Promise<void> {
  const answer = async (event: CloudFormationCustomResourceEvent): Promise<Answer> => {
    // On deletion the number no longer matters, and the service may be gone.
    if (event.RequestType === 'Delete') return { Status: 'SUCCESS' };
    const { Cluster: cluster, Service: service } = event.ResourceProperties;
    try {
      return {
        Status: 'SUCCESS',
        Data: { DesiredCount: await desiredCount(String(cluster), String(service)) },
      };
    } catch (error) {
      return { Status: 'FAILED', Reason: `look at service ${service}: ${String(error)}` };
    }
  };
  return async (event) => {
    const { StackId, RequestId, LogicalResourceId } = event;
    const PhysicalResourceId =
      'PhysicalResourceId' in event ? event.PhysicalResourceId : LogicalResourceId;
    const identity = { StackId, RequestId, LogicalResourceId, PhysicalResourceId };
    await send(event.ResponseURL, JSON.stringify({ ...identity, ...(await answer(event)) }));
  };
}

async function readDesiredCount(cluster: string, service: string): Promise<number> {
  const { services } = await new ECSClient({}).send(
    new DescribeServicesCommand({ cluster, services: [service] }),
  );
  return services?.[0]?.desiredCount ?? 0;
}

/** The address is signed for a request without a content type. */
async function put(url: string, body: string): Promise<void> {
  const response = await fetch(url, {
    method: 'PUT',
    headers: { 'content-type': '' },
    body,
  });
  if (!response.ok) throw new Error(`CloudFormation answered ${response.status}`);
}

export const handler = createDesiredCountHandler({ desiredCount: readDesiredCount, send: put });
