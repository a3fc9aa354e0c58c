import { Match, Template } from 'aws-cdk-lib/assertions';
import { beforeAll, describe, expect, it } from 'vitest';
import { createApp } from '#infra/create-app.ts';
import { tableDefinition } from '#stores/table-definition.ts';

describe('the storage stack', () => {
  let template: Template;

  beforeAll(() => {
    const { storage } = createApp({ context: { bundle: 'false' }, embeddingDimensions: () => 128 });
    template = Template.fromStack(storage);
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
    for (const type of [
      'AWS::DynamoDB::GlobalTable',
      'AWS::S3::Bucket',
      'AWS::S3Vectors::VectorBucket',
      'AWS::S3Vectors::Index',
    ]) {
      template.hasResource(type, { DeletionPolicy: 'Retain', UpdateReplacePolicy: 'Retain' });
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
      DistanceMetric: 'cosine',
      IndexName: Match.absent(),
    });
  });

  it('lets the worker explain a message that breaks it before the dead-letter queue takes it', () => {
    // Prepare
    const queues = Object.values(template.findResources('AWS::SQS::Queue'));
    const [work] = queues.filter((queue) => queue['Properties'].RedrivePolicy !== undefined);

    // Assess
    expect(queues).toHaveLength(2);
    expect(work!['Properties'].RedrivePolicy.maxReceiveCount).toBeGreaterThan(5);
  });
});
