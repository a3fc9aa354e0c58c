import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { EcsTaskProtection } from '#denoiser/task-protection.ts';
import type { WorkerEvent } from '#denoiser/worker.ts';

const HOUR = 3_600_000;

/** The agent of a machine; answers with `refusal` while there is one. */
async function prepare() {
  const asked: unknown[] = [];
  const agent = { refusal: null as { status: number; body: object } | null };
  const server = createServer((request, response) => {
    request.setEncoding('utf8').on('data', (body: string) => {
      asked.push([request.method, request.url, JSON.parse(body)]);
      const { status, body: answer } = agent.refusal ?? { status: 200, body: { protection: {} } };
      response.writeHead(status).end(JSON.stringify(answer));
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  const logged: WorkerEvent[] = [];
  const clock = { now: 0 };
  const uri = `http://127.0.0.1:${(server.address() as AddressInfo).port}/api/task`;
  const protection = new EcsTaskProtection(
    uri,
    (event) => logged.push(event),
    () => clock.now,
  );
  return { asked, agent, logged, clock, protection };
}

const put = (state: object) => ['PUT', '/api/task/task-protection/v1/state', state];
const ON = put({ ProtectionEnabled: true, ExpiresInMinutes: 1440 });
const OFF = put({ ProtectionEnabled: false });

test('is asked for once for many messages, anew in good time, and given back once', async () => {
  const { asked, clock, logged, protection } = await prepare();
  await protection.release();
  for (const hours of [0, 1, 11, 13]) {
    clock.now = hours * HOUR;
    await protection.protect();
  }
  await protection.release();
  await protection.release();

  expect(asked).toEqual([ON, ON, OFF]);
  expect(logged).toEqual([]);
});

test.each([
  [400, { error: { Code: 'AccessDeniedException' } }],
  [200, { failure: { Reason: 'TASK_NOT_VALID' } }],
])('that is refused with status %i is logged, and asked for again', async (status, body) => {
  const { asked, agent, logged, protection } = await prepare();
  agent.refusal = { status, body };
  await protection.protect();
  agent.refusal = null;
  await protection.protect();

  expect(asked).toEqual([ON, ON]);
  expect(logged).toMatchObject([{ level: 'warn', event: 'protection_not_set' }]);
});
