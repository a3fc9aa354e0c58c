import { Stack, Validations } from 'aws-cdk-lib';
import * as iam from 'aws-cdk-lib/aws-iam';
import { describe, expect, it } from 'vitest';
import { ACKNOWLEDGED_FINDINGS } from '#infra/cdk-nag-suppressions.ts';
import { createApp } from '#infra/create-app.ts';
import { SolutionsChecks } from './solutions-checks.ts';

function check(change: (stack: Stack) => void = () => {}): SolutionsChecks {
  const { app, storage } = createApp({ context: { bundle: 'false', alarmEmail: 'a@example.com' } });
  change(storage);
  const checks = new SolutionsChecks(app);
  Validations.of(app).addPlugins(checks);
  app.synth();
  return checks;
}

describe('the AWS Solutions rules', { timeout: 120_000 }, () => {
  it('find nothing but what is acknowledged, and every acknowledgement is needed', () => {
    // Act
    const checks = check();

    // Assess
    expect(checks.findings).toEqual([]);
    const unused = ACKNOWLEDGED_FINDINGS.filter((finding) => !checks.acknowledged.has(finding));
    expect(unused).toEqual([]);
  });

  it('find a wildcard that nobody acknowledged', () => {
    // Act
    const { findings } = check((stack) => {
      const role = new iam.Role(stack, 'Loose', { assumedBy: new iam.AccountRootPrincipal() });
      role.addToPolicy(new iam.PolicyStatement({ actions: ['s3:*'], resources: ['*'] }));
    });

    // Assess
    expect(findings).toEqual([
      'AwsSolutions-IAM5[Action::s3:*] at FlexCacheStorage/Loose/DefaultPolicy/Resource',
      'AwsSolutions-IAM5[Resource::*] at FlexCacheStorage/Loose/DefaultPolicy/Resource',
    ]);
  });
});
