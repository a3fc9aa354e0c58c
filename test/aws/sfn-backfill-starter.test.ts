import {
  CreateStateMachineCommand,
  DescribeExecutionCommand,
  SFNClient,
} from '@aws-sdk/client-sfn';
import { beforeAll, expect, test } from 'vitest';
import { randomBackfillId } from '#core/requests/identity.ts';
import { SfnBackfillStarter } from '#aws/sfn-backfill-starter.ts';
import { describeOnMoto } from '../describe-on-moto.ts';
import { motoClientOptions } from '../moto.ts';
import { unique } from './samples.ts';

describeOnMoto('SfnBackfillStarter on moto', (endpoint) => {
  const client = new SFNClient(motoClientOptions(endpoint || 'http://127.0.0.1:9'));
  let stateMachineArn: string;
  let starter: SfnBackfillStarter;

  beforeAll(async () => {
    const created = await client.send(
      new CreateStateMachineCommand({
        name: unique('backfill-'),
        roleArn: 'arn:aws:iam::123456789012:role/backfill',
        definition: JSON.stringify({
          StartAt: 'Wait',
          States: { Wait: { Type: 'Wait', Seconds: 600, End: true } },
        }),
      }),
    );
    stateMachineArn = created.stateMachineArn!;
    starter = new SfnBackfillStarter({ stateMachineArn, client });
  });

  const describeExecution = (backfillId: string) =>
    client.send(
      new DescribeExecutionCommand({
        executionArn: `${stateMachineArn.replace(':stateMachine:', ':execution:')}:${backfillId}`,
      }),
    );

  test('a backfill is started once under its own name, however often it is started', async () => {
    const backfillId = randomBackfillId();

    await starter.start(backfillId);
    await starter.start(backfillId);

    const { input, status } = await describeExecution(backfillId);
    expect(JSON.parse(input!)).toEqual({ backfillId });
    expect(status).toBe('RUNNING');
  });

  test('stopping aborts it, again and again, and what never began too', async () => {
    const backfillId = randomBackfillId();
    await starter.start(backfillId);

    await starter.stop(backfillId);
    await starter.stop(backfillId);
    await starter.stop(randomBackfillId());

    expect((await describeExecution(backfillId)).status).toBe('ABORTED');
  });

  test('a state machine that is not there is named with a fix', async () => {
    const absent = stateMachineArn.replace(/[^:]+$/, 'absent');

    const starting = new SfnBackfillStarter({ stateMachineArn: absent, client }).start('bkf_1');

    await expect(starting).rejects.toMatchObject({ code: 'not_found' });
  });
});
