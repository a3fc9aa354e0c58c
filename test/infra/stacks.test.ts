import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { App } from 'aws-cdk-lib';
import { Template } from 'aws-cdk-lib/assertions';
import type { CloudAssembly } from 'aws-cdk-lib/cx-api';
import { beforeAll, describe, expect, it } from 'vitest';
import { createApp } from '#infra/create-app.ts';
import { FEATURE_FLAGS } from '#infra/feature-flags.ts';
import { REPOSITORY_ROOT } from '#infra/repository-root.ts';
import { StorageStack } from '#infra/storage-stack.ts';
import { stackReferencesOf } from './stack-references.ts';
import { scrubbedTemplate, STACKS, synthesizeStacks, templateOf } from './stack-template.ts';

/** What holds data: under another logical id CloudFormation would make another one, empty. */
const HOLDS_DATA = [
  'AWS::DynamoDB::GlobalTable',
  'AWS::S3::Bucket',
  'AWS::S3Vectors::VectorBucket',
  'AWS::S3Vectors::Index',
  'AWS::SQS::Queue',
];
const LOGICAL_IDS = [
  'BackfillDeadLetters2028053E',
  'BackfillQueueA6803340',
  'InteractiveDeadLetters59C94EE4',
  'InteractiveQueue642CCD4D',
  'LatentsF6D9B64E',
  'LostEnds5F5CE9A8',
  'TableCD117FA1',
  'VectorIndex',
  'Vectors',
  'Videos88AE8DA0',
  'WebhooksDeadLetters34CF3D9E',
  'WebhooksQueue53D37C2C',
];

/**
 * CloudFormation answers each weak reference by a call of its own, and allows one a second: from about
 * 70 in one template deployments were reported to fail (aws/aws-cdk#38010).
 */
const MAX_WEAK_REFERENCES = 20;

/** What another deployment gives another name, and takes the one before it away. */
const REVISED = [
  'AWS::Batch::JobDefinition',
  'AWS::ECS::TaskDefinition',
  'AWS::EC2::LaunchTemplate',
  'AWS::Lambda::LayerVersion',
  'AWS::Lambda::Version',
];

/** CloudFormation takes no larger template. */
const MAX_TEMPLATE_BYTES = 1_000_000;
const MAX_RESOURCES = 500;

let assembly: CloudAssembly;

beforeAll(() => {
  assembly = synthesizeStacks();
});

describe('the app', () => {
  it('has its stacks in the order of their dependencies', () => {
    // Assess
    expect(assembly.stacks.map(({ stackName }) => stackName)).toEqual(STACKS);
  });

  it('is the same when it is synthesized again', () => {
    // Act
    const again = synthesizeStacks();

    // Assess
    for (const stack of STACKS) {
      expect(again.getStackByName(stack).template).toEqual(assembly.getStackByName(stack).template);
    }
  });

  it('is the same with the settings of cdk.json', () => {
    // Prepare
    const { context } = JSON.parse(readFileSync(resolve(REPOSITORY_ROOT, 'cdk.json'), 'utf8')) as {
      context: Record<string, unknown>;
    };

    // Act
    const configured = synthesizeStacks({ ...context, bundle: 'false' });

    // Assess
    for (const stack of STACKS) {
      expect(configured.getStackByName(stack).template).toEqual(
        assembly.getStackByName(stack).template,
      );
    }
  });

  it('needs no account: nothing is looked up while it is synthesized', () => {
    // Assess
    expect(assembly.manifest.missing ?? []).toEqual([]);
    for (const { environment } of assembly.stacks) {
      expect(environment).toMatchObject({ account: 'unknown-account', region: 'unknown-region' });
    }
  });

  it('goes where its settings say', () => {
    // Act
    const { storage } = createApp({
      context: { bundle: 'false', account: '123456789012', region: 'us-west-2' },
    });

    // Assess
    expect([storage.account, storage.region]).toEqual(['123456789012', 'us-west-2']);
  });

  it('takes nothing from another stack that a deployment of that one alone would replace', () => {
    // Assess
    const taken = stackReferencesOf(assembly).map(({ resourceType }) => resourceType);
    expect(taken).toContain('AWS::Batch::JobQueue');
    expect(taken.filter((type) => REVISED.includes(type))).toEqual([]);
  });

  it('locks what holds data alone, which is never replaced', () => {
    // Prepare
    const strong = stackReferencesOf(assembly).filter(({ strength }) => strength === 'strong');

    // Assess
    expect(new Set(strong.map(({ producer }) => producer))).toEqual(new Set(['FlexCacheStorage']));
    for (const { resourceType } of strong) expect(HOLDS_DATA).toContain(resourceType);
  });

  it('exports what holds data whether or not another stack imports it', () => {
    // Prepare
    const exportsOf = (outputs: Record<string, { Export?: unknown }>): string[] =>
      Object.keys(outputs).filter((name) => 'Export' in outputs[name]!);
    const alone = new StorageStack(new App({ context: FEATURE_FLAGS }), 'FlexCacheStorage', {
      embeddingDimensions: 128,
    });

    // Assess
    const { Outputs: outputs } = assembly.getStackByName('FlexCacheStorage').template as {
      Outputs: Record<string, { Export?: unknown }>;
    };
    expect(exportsOf(outputs).sort()).toEqual(
      exportsOf(Template.fromStack(alone).toJSON()['Outputs']).sort(),
    );
  });

  it.each(STACKS)('has few references in %s that are looked up while it is deployed', (stack) => {
    // Prepare
    const weak = stackReferencesOf(assembly).filter(
      ({ consumer, strength }) => consumer === stack && strength === 'weak',
    );

    // Assess
    expect(weak.length).toBeLessThanOrEqual(MAX_WEAK_REFERENCES);
  });
});

describe('what costs money', () => {
  it.each([
    'AWS::AutoScaling::AutoScalingGroup',
    'AWS::Batch::ComputeEnvironment',
    'AWS::ECS::Service',
    'AWS::Lambda::Function',
    'AWS::Logs::LogGroup',
    'AWS::S3::Bucket',
    'AWS::SQS::Queue',
    'AWS::StepFunctions::StateMachine',
  ])('has the tag by which the bill is read: %s', (type) => {
    // Prepare
    const resources = STACKS.flatMap((stack) =>
      Object.values(templateOf(assembly, stack).findResources(type)),
    );

    // Assess
    expect(resources.length).toBeGreaterThan(0);
    for (const { Properties: properties } of resources) {
      const tags = Array.isArray(properties.Tags)
        ? properties.Tags.map(({ Key: key, Value: value }: Record<string, string>) => [key, value])
        : Object.entries(properties.Tags);
      expect(tags).toContainEqual(['project', 'flexcache']);
    }
  });
});

describe('what holds data', () => {
  it('is in the storage stack alone, under the logical ids that it has', () => {
    // Act
    const holding = STACKS.flatMap((stack) => {
      const template = templateOf(assembly, stack);
      return HOLDS_DATA.flatMap((type) =>
        Object.keys(template.findResources(type)).map((logicalId) => [stack, logicalId]),
      );
    });

    // Assess
    expect(holding.map(([, logicalId]) => logicalId).sort()).toEqual(LOGICAL_IDS);
    expect(new Set(holding.map(([stack]) => stack))).toEqual(new Set(['FlexCacheStorage']));
  });
});

describe.each(STACKS)('%s', (stack) => {
  it('is as it was when somebody last looked at it', async () => {
    // Assess
    const template = JSON.stringify(scrubbedTemplate(assembly, stack), null, 2);
    await expect(`${template}\n`).toMatchFileSnapshot(`__snapshots__/${stack}.json`);
  });

  it('is within the limits of CloudFormation', () => {
    // Prepare
    const template = assembly.getStackByName(stack).template as { Resources: object };

    // Assess
    expect(Object.keys(template.Resources).length).toBeLessThanOrEqual(MAX_RESOURCES);
    expect(Buffer.byteLength(JSON.stringify(template))).toBeLessThan(MAX_TEMPLATE_BYTES);
  });
});
