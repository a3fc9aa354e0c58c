import { Match, Template } from 'aws-cdk-lib/assertions';
import { beforeAll, describe, expect, it } from 'vitest';
import { createApp } from '#infra/create-app.ts';
import type { StorageStack } from '#infra/storage-stack.ts';
import { tableDefinition } from '#aws/table-definition.ts';

const STATEFUL = [
  'AWS::DynamoDB::GlobalTable',
  'AWS::S3::Bucket',
  'AWS::S3Vectors::VectorBucket',
  'AWS::S3Vectors::Index',
];

describe('the storage stack', () => {
  let stack: StorageStack;
  let template: Template;

  beforeAll(() => {
    stack = createApp({ context: { bundle: 'false' } }).storage;
    template = Template.fromStack(stack);
  });

  it('has the very table that the code reads, with point-in-time recovery', () => {
    // Prepare
    const { KeySchema, GlobalSecondaryIndexes, AttributeDefinitions } = tableDefinition('any');

    // Assess
    template.hasResourceProperties('AWS::DynamoDB::GlobalTable', {
      KeySchema,
      GlobalSecondaryIndexes: GlobalSecondaryIndexes.map((index) => Match.objectLike(index)),
      AttributeDefinitions: Match.arrayWith(
        AttributeDefinitions.map((attribute) => Match.objectLike(attribute)).slice(0, 2),
      ),
      BillingMode: 'PAY_PER_REQUEST',
      TimeToLiveSpecification: { AttributeName: 'expiresAt', Enabled: true },
      Replicas: [
        Match.objectLike({
          DeletionProtectionEnabled: true,
          PointInTimeRecoverySpecification: { PointInTimeRecoveryEnabled: true },
        }),
      ],
    });
  });

  it('keeps what it stores when the stack goes', () => {
    // Assess
    expect(stack.terminationProtection).toBe(true);
    for (const type of STATEFUL) {
      template.allResources(type, { DeletionPolicy: 'Retain', UpdateReplacePolicy: 'Retain' });
    }
  });

  it('opens its objects to nobody and to nothing without TLS', () => {
    // Assess
    template.hasResourceProperties('AWS::S3::Bucket', {
      PublicAccessBlockConfiguration: {
        BlockPublicAcls: true,
        BlockPublicPolicy: true,
        IgnorePublicAcls: true,
        RestrictPublicBuckets: true,
      },
    });
    const insecure = { Effect: 'Deny', Condition: { Bool: { 'aws:SecureTransport': 'false' } } };
    for (const type of ['AWS::S3::BucketPolicy', 'AWS::SQS::QueuePolicy']) {
      template.hasResourceProperties(type, {
        PolicyDocument: { Statement: Match.arrayWith([Match.objectLike(insecure)]) },
      });
    }
  });

  it('compares vectors of the package by cosine', () => {
    // Assess
    template.hasResourceProperties('AWS::S3Vectors::Index', {
      DataType: 'float32',
      Dimension: 128,
      EncryptionConfiguration: { SseType: 'AES256' },
      MetadataConfiguration: Match.absent(),
      DistanceMetric: 'cosine',
      IndexName: Match.absent(),
    });
  });

  it('lets the worker explain a message that breaks it before a dead-letter queue takes it', () => {
    // Prepare
    const queues = Object.values(template.findResources('AWS::SQS::Queue'));
    const work = queues.filter((queue) => queue['Properties'].VisibilityTimeout === 60);

    // Assess
    expect(queues).toHaveLength(7);
    expect(work).toHaveLength(2);
    for (const queue of work) {
      expect(queue['Properties'].RedrivePolicy.maxReceiveCount).toBeGreaterThan(5);
    }
  });

  it('lets checkpoints and inputs go after a week, and nothing else unless told to', () => {
    // Prepare
    const rulesOf = (found: Template): { Prefix?: string; ExpirationInDays?: number }[] =>
      Object.values(found.findResources('AWS::S3::Bucket'))
        .flatMap((bucket) => bucket['Properties'].LifecycleConfiguration.Rules)
        .filter((rule) => rule.ExpirationInDays !== undefined);
    const { storage } = createApp({ context: { bundle: 'false', videosExpireAfterDays: '30' } });

    // Assess
    const ofJobs = [
      { Prefix: 'checkpoints/', ExpirationInDays: 7 },
      { Prefix: 'inputs/', ExpirationInDays: 7 },
    ];
    expect(rulesOf(template)).toMatchObject(ofJobs);
    expect(rulesOf(Template.fromStack(storage))).toMatchObject([
      ...ofJobs,
      { ExpirationInDays: 30 },
    ]);
  });

  it('goes with everything in it when it was on trial', () => {
    // Prepare
    const { storage } = createApp({ context: { bundle: 'false', stage: 'trial' } });
    const trial = Template.fromStack(storage);

    // Assess
    expect(storage.terminationProtection).toBe(false);
    for (const type of STATEFUL) {
      for (const resource of Object.values(trial.findResources(type))) {
        expect(resource['DeletionPolicy'] ?? 'Delete').toBe('Delete');
      }
    }
  });
});
