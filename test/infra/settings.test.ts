import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { App } from 'aws-cdk-lib';
import { describe, expect, it } from 'vitest';
import { InvalidInputError } from '#core/errors.ts';
import { REPOSITORY_ROOT } from '#infra/repository-root.ts';
import { DEFAULT_SETTINGS, settingsOf, settingsTable, type Settings } from '#infra/settings.ts';

function read(context: Record<string, unknown>): Settings {
  return settingsOf(new App({ context }));
}

function refusal(context: Record<string, unknown>): InvalidInputError {
  try {
    read(context);
  } catch (error) {
    if (error instanceof InvalidInputError) return error;
    throw error;
  }
  throw new Error('the settings were taken');
}

function textOf(file: string): string {
  return readFileSync(resolve(REPOSITORY_ROOT, file), 'utf8');
}

/** Prettier aligns the columns of a table. */
function withoutPadding(markdown: string): string {
  return markdown.replaceAll(/ {2,}/g, ' ').replaceAll(/-{3,}/g, '---');
}

describe('settings', () => {
  it('have defaults that are themselves valid, and cdk.json lists every one of them', () => {
    // Prepare
    const { context } = JSON.parse(textOf('cdk.json')) as { context: Record<string, unknown> };
    const { 'cli-telemetry': _telemetry, ...listed } = context;

    // Assess
    expect(listed).toEqual(DEFAULT_SETTINGS);
    expect(read(listed)).toEqual(read({}));
  });

  it('are all in the table of docs/deploy.md', () => {
    // Assess
    expect(withoutPadding(textOf('docs/deploy.md'))).toContain(withoutPadding(settingsTable()));
  });

  it('mean the same as text, which is all that the command line has', () => {
    // Act
    const settings = read({
      interactiveMax: '7',
      defaultBudgetPerDayUsd: '2.5',
      monthlyBudgetUsd: 'null',
      defaultConcurrentJobs: '',
      backfillInstanceTypes: 'g6e.2xlarge, g5.xlarge',
      bundle: 'false',
    });

    // Assess
    expect(settings).toMatchObject({
      interactiveMax: 7,
      defaultBudgetPerDayUsd: 2.5,
      monthlyBudgetUsd: null,
      defaultConcurrentJobs: null,
      backfillInstanceTypes: ['g6e.2xlarge', 'g5.xlarge'],
      bundle: false,
    });
  });

  it.each([
    ['account', '12345'],
    ['region', 'Frankfurt'],
    ['stage', 'staging'],
    ['modelSource', 'https://models.example.com/wan'],
    ['interactiveMax', 'lots'],
    ['interactiveMax', 0],
    ['interactiveMax', 2.5],
    ['interactiveInstanceTypes', ['g5g.xlarge']],
    ['interactiveInstanceTypes', []],
    ['backfillInstanceTypes', 'g6.xlarge,t3.micro'],
    ['backfillPurchase', 'reserved'],
    ['defaultBudgetPerDayUsd', -1],
    ['evictSchedule', 'every hour'],
    ['alarmEmail', 'nobody'],
    ['logRetentionDays', 31],
    ['videosExpireAfterDays', 0],
    ['telemetryLayerArn', 'arn:aws:s3:::bucket'],
    ['bundle', 'maybe'],
  ])('refuse %s = %j, naming the knob, the value and what is expected', (name, value) => {
    // Act
    const error = refusal({ [name]: value });

    // Assess
    expect(error.field).toBe(name);
    expect(error.message).toContain(`the setting ${name} is ${JSON.stringify(value)}, expected `);
    expect(error.fix).toContain('cdk.json');
  });

  it('refuse a name that is none of theirs', () => {
    // Assess
    expect(refusal({ interactivMax: 3 })).toMatchObject({
      field: 'interactivMax',
      fix: expect.stringContaining('interactiveMax'),
    });
  });

  it.each([
    [{ vpcId: 'vpc-0a1b2c3d' }, 'subnetIds'],
    [{ subnetIds: 'subnet-0a1b2c3d', availabilityZones: 'us-east-1a' }, 'vpcId'],
    [{ apiDomain: 'api.example.com' }, 'apiCertificateArn'],
  ])('refuse halves of what belongs together: %j', (context, missing) => {
    // Assess
    expect(refusal(context)).toMatchObject({ field: missing });
  });

  it('refuse subnets without as many zones', () => {
    // Assess
    expect(
      refusal({
        vpcId: 'vpc-0a1b2c3d',
        subnetIds: 'subnet-0a1b2c3d,subnet-0a1b2c3e',
        availabilityZones: 'us-east-1a',
      }).message,
    ).toBe('there are 2 subnetIds and 1 availabilityZones');
  });
});
