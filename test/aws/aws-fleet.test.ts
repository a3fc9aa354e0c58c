import { BatchClient } from '@aws-sdk/client-batch';
import {
  CreateClusterCommand,
  CreateServiceCommand,
  DescribeServicesCommand,
  ECSClient,
  RegisterTaskDefinitionCommand,
  UpdateServiceCommand,
} from '@aws-sdk/client-ecs';
import {
  CreateQueueCommand,
  DeleteMessageCommand,
  PurgeQueueCommand,
  ReceiveMessageCommand,
  SendMessageCommand,
  SQSClient,
} from '@aws-sdk/client-sqs';
import { beforeAll, expect, onTestFinished, test } from 'vitest';
import { POOLS, type Pool } from '#core/generation.ts';
import { startTableServer } from '#local/table-server.ts';
import { AwsFleet } from '#aws/aws-fleet.ts';
import { describeOnMoto } from '../describe-on-moto.ts';
import { motoClientOptions } from '../moto.ts';
import { BatchStandIn } from './batch-stand-in.ts';
import { unique } from './samples.ts';

const MINUTE = 60_000;
const MAXIMUM = { interactive: 3, backfill: 2 };
const IDLE_MINUTES = 15;

describeOnMoto('AwsFleet, with ECS and SQS on moto', (endpoint) => {
  const options = motoClientOptions(endpoint || 'http://127.0.0.1:9');
  const sqs = new SQSClient(options);
  const ecs = new ECSClient(options);
  let taskDefinition: string;

  beforeAll(async () => {
    const { taskDefinition: registered } = await ecs.send(
      new RegisterTaskDefinitionCommand({
        family: unique('worker-'),
        containerDefinitions: [{ name: 'worker', image: 'worker', memory: 128 }],
      }),
    );
    taskDefinition = registered!.taskDefinitionArn!;
  });

  async function prepare() {
    // Updates are atomic here; moto loses those that come at once.
    const server = await startTableServer();
    const standIn = new BatchStandIn();
    const batch = new BatchClient({ ...options, endpoint: await standIn.listen(), maxAttempts: 1 });
    onTestFinished(async () => {
      standIn.close();
      await server.close();
    });
    const [interactive, backfill] = await Promise.all(
      ['interactive-', 'backfill-'].map((prefix) =>
        sqs.send(new CreateQueueCommand({ QueueName: unique(prefix) })),
      ),
    );
    const queues = { interactive: interactive!.QueueUrl!, backfill: backfill!.QueueUrl! };
    const cluster = unique('cluster-');
    const service = unique('service-');
    await ecs.send(new CreateClusterCommand({ clusterName: cluster }));
    await ecs.send(
      new CreateServiceCommand({ cluster, serviceName: service, taskDefinition, desiredCount: 0 }),
    );
    const clock = { now: 1_800_000_000_000 };
    const updates: number[] = [];
    ecs.middlewareStack.add(
      (next, context) => async (args) => {
        const { service: name, desiredCount } = args.input as {
          service?: string;
          desiredCount?: number;
        };
        if (context.commandName === 'UpdateServiceCommand' && name === service) {
          updates.push(desiredCount!);
        }
        return next(args);
      },
      { step: 'initialize' },
    );
    const { tableName, client: dynamodb } = server.connection;
    const fleet = new AwsFleet({
      tableName,
      interactive: {
        queueUrl: queues.interactive,
        cluster,
        service,
        maximumWorkers: MAXIMUM.interactive,
        idleMinutes: IDLE_MINUTES,
        purchaseOption: 'on-demand',
      },
      backfill: {
        queueUrl: queues.backfill,
        jobQueue: 'queue',
        jobDefinition: 'definition:1',
        maximumWorkers: MAXIMUM.backfill,
      },
      clients: { dynamodb: dynamodb!, sqs, ecs, batch },
      now: () => clock.now,
    });
    return {
      fleet,
      standIn,
      clock,
      /** Desired counts that the service was asked for. */
      updates,
      queue: async (pool: Pool, messages: number): Promise<void> => {
        for (let sent = 0; sent < messages; sent++) {
          await sqs.send(new SendMessageCommand({ QueueUrl: queues[pool], MessageBody: 'any' }));
        }
      },
      take: async (pool: Pool, isDone = false): Promise<void> => {
        const QueueUrl = queues[pool];
        const { Messages: [message] = [] } = await sqs.send(
          new ReceiveMessageCommand({ QueueUrl, VisibilityTimeout: 3600 }),
        );
        if (!isDone) return;
        await sqs.send(
          new DeleteMessageCommand({ QueueUrl, ReceiptHandle: message!.ReceiptHandle }),
        );
      },
      empty: (pool: Pool) => sqs.send(new PurgeQueueCommand({ QueueUrl: queues[pool] })),
      setDesired: (desiredCount: number) =>
        ecs.send(new UpdateServiceCommand({ cluster, service, desiredCount })),
      desired: async (): Promise<number> => {
        const { services } = await ecs.send(
          new DescribeServicesCommand({ cluster, services: [service] }),
        );
        return services![0]!.desiredCount!;
      },
    };
  }

  test('one of fifty who wake a pool at once asks for a machine', async () => {
    const { fleet, updates, queue, desired } = await prepare();
    await queue('interactive', 1);

    await Promise.all(Array.from({ length: 50 }, () => fleet.wake('interactive')));

    expect(updates).toEqual([1]);
    expect(await desired()).toBe(1);
  });

  test('another minute, another wake: as many machines as the queue asks for, and never too many', async () => {
    const { fleet, clock, queue, updates } = await prepare();
    await queue('interactive', 1);
    await fleet.wake('interactive');
    await queue('interactive', 3);
    clock.now += MINUTE - 1;
    await fleet.wake('interactive');
    clock.now += 1;
    await fleet.wake('interactive');
    await queue('interactive', 20);
    clock.now += MINUTE;

    await fleet.wake('interactive');

    expect(updates).toEqual([1, 2, MAXIMUM.interactive]);
  });

  test('a wake is heeded although the queue does not count the message yet', async () => {
    const { fleet, desired } = await prepare();

    await fleet.wake('interactive');

    expect(await desired()).toBe(1);
  });

  test('waking a backfill submits the jobs that are missing, no more than allowed', async () => {
    const { fleet, standIn, clock, queue } = await prepare();
    await queue('backfill', 1);
    await fleet.wake('backfill');
    const first = standIn.jobs.length;
    await queue('backfill', 60);
    for (const status of ['RUNNABLE', 'STARTING', 'RUNNING']) {
      standIn.jobs[0]!.status = status;
      clock.now += MINUTE;
      await fleet.wake('backfill');
    }

    expect(first).toBe(1);
    expect(standIn.jobs).toHaveLength(MAXIMUM.backfill);
    expect(standIn.jobs[0]).toMatchObject({ jobQueue: 'queue', jobDefinition: 'definition:1' });
  });

  test('jobs that have ended are not counted', async () => {
    const { fleet, standIn, clock, queue } = await prepare();
    await queue('backfill', 1);
    await fleet.wake('backfill');
    standIn.jobs[0]!.status = 'SUCCEEDED';
    clock.now += MINUTE;

    await fleet.wake('backfill');

    expect(standIn.jobs).toHaveLength(2);
  });

  test('after a wake that failed the next one need not wait', async () => {
    const { fleet, standIn, queue } = await prepare();
    await queue('backfill', 1);
    standIn.failure = { status: 403, type: 'AccessDeniedException' };
    await expect(fleet.wake('backfill')).rejects.toMatchObject({ code: 'permission_denied' });
    standIn.failure = null;

    await fleet.wake('backfill');

    expect(standIn.jobs).toHaveLength(1);
  });

  test('the pools are woken one without the other', async () => {
    const { fleet, standIn, updates } = await prepare();

    await fleet.wake('interactive');
    await fleet.wake('backfill');

    expect(updates).toEqual([1]);
    expect(standIn.jobs).toHaveLength(1);
  });

  test('a look at the queues wakes what was forgotten', async () => {
    const { fleet, standIn, queue, desired } = await prepare();
    await queue('interactive', 5);
    await queue('backfill', 1);

    await fleet.reconcile('interactive');
    await fleet.reconcile('backfill');

    expect(await desired()).toBe(3);
    expect(standIn.jobs).toHaveLength(1);
  });

  test('a look at empty queues wakes nobody', async () => {
    const { fleet, standIn, updates, clock } = await prepare();

    for (const pool of POOLS) await fleet.reconcile(pool);
    clock.now += (IDLE_MINUTES + 1) * MINUTE;
    for (const pool of POOLS) await fleet.reconcile(pool);

    expect(updates).toEqual([]);
    expect(standIn.jobs).toEqual([]);
  });

  test('workers stay until the pool was idle for its minutes, then all go', async () => {
    const { fleet, clock, queue, empty, desired, updates } = await prepare();
    await queue('interactive', 1);
    await fleet.wake('interactive');
    await empty('interactive');
    clock.now += (IDLE_MINUTES - 1) * MINUTE;
    await fleet.reconcile('interactive');
    const before = await desired();
    clock.now += MINUTE;

    await fleet.reconcile('interactive');
    await fleet.reconcile('interactive');

    expect(before).toBe(1);
    expect(await desired()).toBe(0);
    expect(updates).toEqual([1, 0]);
  });

  test('a message in the hands of a worker keeps the pool busy', async () => {
    const { fleet, clock, queue, take, desired } = await prepare();
    await queue('interactive', 1);
    await fleet.wake('interactive');
    await take('interactive');
    clock.now += 10 * IDLE_MINUTES * MINUTE;

    await fleet.reconcile('interactive');

    expect(await desired()).toBe(1);
  });

  test('workers that the queue has not needed for the idle minutes go, those it needs stay', async () => {
    const { fleet, clock, queue, take, desired } = await prepare();
    await queue('interactive', 6);
    await fleet.wake('interactive');
    const atFirst = await desired();
    await fleet.reconcile('interactive');
    for (let taken = 0; taken < 6; taken++) await take('interactive', taken > 0);
    const seen: number[] = [];
    for (let minute = 1; minute <= IDLE_MINUTES + 1; minute++) {
      clock.now += MINUTE;
      await fleet.reconcile('interactive');
      seen.push(await desired());
    }

    expect(atFirst).toBe(3);
    expect(seen).toEqual([...Array<number>(IDLE_MINUTES - 1).fill(3), 1, 1]);
  });

  test('a pool is deserted when nobody takes what waits, and not while it waits its turn', async () => {
    const { fleet, clock, queue, take } = await prepare();
    const look = async (minutes: number): Promise<boolean> => {
      clock.now += minutes * MINUTE;
      return (await fleet.reconcile('interactive')).isDeserted;
    };
    await queue('interactive', 3);
    const untaken = [await look(0), await look(29), await look(1)];
    await take('interactive');
    const taken = [await look(1), await look(600)];

    expect(untaken).toEqual([false, false, true]);
    expect(taken).toEqual([false, false]);
  });

  test('workers that somebody started by hand go too, after the same time', async () => {
    const { fleet, clock, setDesired, desired } = await prepare();
    await setDesired(2);

    await fleet.reconcile('interactive');
    const atFirst = await desired();
    clock.now += IDLE_MINUTES * MINUTE;
    await fleet.reconcile('interactive');

    expect(atFirst).toBe(2);
    expect(await desired()).toBe(0);
  });
});
