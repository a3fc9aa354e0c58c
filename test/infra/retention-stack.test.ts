import { resolve } from 'node:path';
import { Match, type Template } from 'aws-cdk-lib/assertions';
import { beforeAll, describe, expect, it } from 'vitest';
import { packageKey } from '#functions/shared/services.ts';
import { REPOSITORY_ROOT } from '#infra/repository-root.ts';
import { loadManifest } from '#models/manifest.ts';
import { synthesizeStacks, templateOf } from './stack-template.ts';

const PACKAGE = resolve(REPOSITORY_ROOT, 'containers/demo-model/package');

let standard: Template;
let told: Template;

beforeAll(() => {
  const synthesize = (context: Record<string, unknown> = {}): Template =>
    templateOf(synthesizeStacks(context), 'FlexCacheRetention');
  standard = synthesize();
  told = synthesize({
    evictSchedule: 'rate(6 hours)',
    cacheBudgetUsd: 12.5,
    moveStorageClasses: 'true',
    evictOtherModels: 'true',
  });
});

function schedulesOf(template: Template): string[] {
  return Object.values(template.findResources('AWS::Scheduler::Schedule'))
    .map(({ Properties: properties }) => properties.ScheduleExpression as string)
    .sort();
}

function variablesOfEvict(template: Template): Record<string, string> {
  const functions = Object.entries(template.findResources('AWS::Lambda::Function'));
  const [, evict] = functions.find(([id]) => id.startsWith('Evict'))!;
  return evict.Properties.Environment.Variables as Record<string, string>;
}

function objectActionsOfEvict(template: Template): string[] {
  const policies = Object.entries(template.findResources('AWS::IAM::Policy'));
  const [, policy] = policies.find(([id]) => id.startsWith('EvictRole'))!;
  const { Statement: statements } = policy.Properties.PolicyDocument as {
    Statement: { Action: string | string[] }[];
  };
  const actions = statements.flatMap(({ Action: action }) => action);
  return actions.filter((action) => action.startsWith('s3:')).sort();
}

describe('the retention stack', () => {
  it('evicts every hour, reports every day and sweeps every week, unless told otherwise', () => {
    // Assess
    expect(schedulesOf(standard)).toEqual([
      'cron(0 2 ? * * *)',
      'cron(0 3 ? * SUN *)',
      'rate(1 hour)',
    ]);
    expect(schedulesOf(told)).toContain('rate(6 hours)');
  });

  it('passes the retention settings to the evict function', async () => {
    // Prepare
    const deployedKey = packageKey(await loadManifest(PACKAGE));

    // Assess
    expect(variablesOfEvict(standard)).toMatchObject({
      FLEXCACHE_CACHE_BUDGET_USD: '',
      FLEXCACHE_MOVE_STORAGE_CLASSES: 'false',
      FLEXCACHE_ONLY_COMPATIBILITY_KEY: '',
      FLEXCACHE_EMBEDDING_DIMENSIONS: '128',
      FLEXCACHE_PRICED_INSTANCE_TYPE: 'g6.xlarge',
      FLEXCACHE_PRICED_PURCHASE: 'on-demand',
    });
    expect(variablesOfEvict(told)).toMatchObject({
      FLEXCACHE_CACHE_BUDGET_USD: '12.5',
      FLEXCACHE_MOVE_STORAGE_CLASSES: 'true',
      FLEXCACHE_ONLY_COMPATIBILITY_KEY: deployedKey,
    });
  });

  it('may copy latents only where they may move to another storage class', () => {
    // Assess
    expect(objectActionsOfEvict(standard)).toEqual(['s3:DeleteObject']);
    expect(objectActionsOfEvict(told)).toEqual([
      's3:DeleteObject',
      's3:GetObject',
      's3:ListBucket',
      's3:PutObject',
    ]);
  });

  it('calls its functions in the name of this account alone', () => {
    // Assess
    standard.hasResourceProperties('AWS::IAM::Role', {
      AssumeRolePolicyDocument: Match.objectLike({
        Statement: [
          Match.objectLike({
            Principal: { Service: 'scheduler.amazonaws.com' },
            Condition: { StringEquals: { 'aws:SourceAccount': { Ref: 'AWS::AccountId' } } },
          }),
        ],
      }),
    });
  });
});
