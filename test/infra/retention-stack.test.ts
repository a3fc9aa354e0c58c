import { Match } from 'aws-cdk-lib/assertions';
import { describe, expect, it } from 'vitest';
import { synthesizeStacks, templateOf } from './stack-template.ts';

describe('the retention stack', () => {
  it('lets go every hour and sweeps every week, unless told otherwise', () => {
    // Act
    const synthesize = (context: Record<string, unknown>) =>
      templateOf(synthesizeStacks(context), 'FlexCacheRetention');
    const schedulesOf = (context: Record<string, unknown>): string[] =>
      Object.values(synthesize(context).findResources('AWS::Scheduler::Schedule'))
        .map(({ Properties: properties }) => properties.ScheduleExpression as string)
        .sort();

    // Assess
    expect(schedulesOf({})).toEqual(['cron(0 3 ? * SUN *)', 'rate(1 hour)']);
    expect(schedulesOf({ evictSchedule: 'rate(6 hours)' })).toContain('rate(6 hours)');
  });

  it('calls its functions in the name of this account alone', () => {
    // Assess
    templateOf(synthesizeStacks(), 'FlexCacheRetention').hasResourceProperties('AWS::IAM::Role', {
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
