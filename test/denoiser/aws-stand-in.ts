import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import type { GenerationResult } from '#core/generation.ts';

/** The parts of AWS that moto has not: answers to task tokens, and an instance's metadata. */
export interface AwsStandIn {
  endpoint: string;
  /** By task token, in the order of their coming. */
  successes: { taskToken: string; output: GenerationResult }[];
  failures: { taskToken: string; error: string; cause: string }[];
  close(): void;
}

const METADATA: Readonly<Record<string, string>> = {
  '/latest/api/token': 'token',
  '/latest/meta-data/instance-type': 'g6.xlarge',
  '/latest/meta-data/instance-life-cycle': 'spot',
};

/** Step Functions for workers, and the metadata service of a Spot instance, on loopback. */
export async function startAwsStandIn(): Promise<AwsStandIn> {
  const successes: AwsStandIn['successes'] = [];
  const failures: AwsStandIn['failures'] = [];
  const server = createServer(async (request, response) => {
    const metadata = METADATA[request.url!];
    if (metadata !== undefined) {
      response.end(metadata);
      return;
    }
    const body = JSON.parse(await text(request)) as Record<string, string>;
    const operation = String(request.headers['x-amz-target']).split('.')[1];
    if (operation === 'SendTaskSuccess') {
      const output = JSON.parse(body['output']!) as GenerationResult;
      successes.push({ taskToken: body['taskToken']!, output });
    } else if (operation === 'SendTaskFailure') {
      failures.push(body as AwsStandIn['failures'][number]);
    } else if (operation !== 'SendTaskHeartbeat') {
      response.writeHead(400).end('{}');
      return;
    }
    response.setHeader('content-type', 'application/x-amz-json-1.0').end('{}');
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    successes,
    failures,
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}
