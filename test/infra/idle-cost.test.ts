import { describe, expect, test } from 'vitest';
import { idleCost } from '#core/costs/idle-cost.ts';
import { parseUsd } from '#core/pricing/money.ts';
import { priceBookOf } from '#core/pricing/prices.ts';
import { callsPerMonth, standingUse, type Template } from '../../bench/monthly-usage.ts';
import { synthesizeStacks } from './stack-template.ts';

function withResource(Type: string, Properties: Record<string, unknown> = {}): Template[] {
  return [{ Resources: { Added: { Type, Properties } } }];
}

test('a deployment that nobody uses costs at most $1.74 a month at list prices', () => {
  const templates = synthesizeStacks().stacks.map((stack) => stack.template as Template);

  const cost = idleCost(standingUse(templates), priceBookOf('us-east-1'));

  expect(cost.listed).toBeLessThanOrEqual(parseUsd('1.74', 'aim'));
  expect(cost.paid).toBeGreaterThan(parseUsd('0.5', 'the image alone'));
  const whats = cost.lines.map(({ what }) => what).join('\n');
  for (const part of ['alarms', 'image', 'polls', 'fleet', 'evict', 'report', 'sweep']) {
    expect(whats).toContain(part);
  }
}, 180_000);

describe('standingUse', () => {
  test.each(['AWS::EC2::NatGateway', 'AWS::KMS::Key', 'AWS::OpenSearchServerless::Collection'])(
    'a %s is not taken for free',
    (type) => {
      expect(() => standingUse(withResource(type))).toThrow(type);
    },
  );

  test('an interface endpoint is not taken for the free kind', () => {
    const endpoint = (VpcEndpointType: string) =>
      withResource('AWS::EC2::VPCEndpoint', { VpcEndpointType });

    expect(() => standingUse(endpoint('Interface'))).toThrow('AWS::EC2::VPCEndpoint');
    expect(() => standingUse(endpoint('Gateway'))).not.toThrow();
  });

  test('an alarm on an expression counts its metrics', () => {
    const [alarms] = standingUse([
      ...withResource('AWS::CloudWatch::Alarm', { MetricName: 'Invocations' }),
      ...withResource('AWS::CloudWatch::Alarm', {
        Metrics: [{ Expression: 'a + b' }, { MetricStat: {} }, { MetricStat: {} }],
      }),
    ]);

    expect(alarms).toMatchObject({ priceId: 'cloudwatch.alarm', quantity: 3 });
  });

  test('a rule on events that do not happen uses nothing', () => {
    const uses = standingUse(withResource('AWS::Events::Rule', { EventPattern: {} }));

    expect(uses.filter(({ what }) => what.includes('calls'))).toEqual([]);
  });
});

describe('callsPerMonth', () => {
  test.each([
    // 730 h x 60 min = 43,800 min
    ['rate(5 minutes)', 8760],
    ['rate(1 hour)', 730],
    ['rate(1 day)', 43_800 / 1440],
    ['cron(0 3 ? * * *)', 43_800 / 1440],
    ['cron(0 3 ? * SUN *)', 43_800 / 1440 / 7],
  ])('%s', (expression, calls) => {
    expect(callsPerMonth(expression)).toBeCloseTo(calls);
  });

  test('what it does not know it does not guess', () => {
    expect(() => callsPerMonth('cron(0/5 * * * ? *)')).toThrow('cron(0/5 * * * ? *)');
  });
});
