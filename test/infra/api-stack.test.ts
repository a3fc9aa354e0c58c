import { Match, type Template } from 'aws-cdk-lib/assertions';
import { beforeAll, describe, expect, it } from 'vitest';
import { MAX_DELIVERIES } from '#functions/webhook/delivery-schedule.ts';
import { synthesizeStacks, templateOf } from './stack-template.ts';

function synthesize(context: Record<string, unknown> = {}): { api: Template; storage: Template } {
  const assembly = synthesizeStacks(context);
  return {
    api: templateOf(assembly, 'FlexCacheApi'),
    storage: templateOf(assembly, 'FlexCacheStorage'),
  };
}

let api: Template;
let storage: Template;

beforeAll(() => {
  ({ api, storage } = synthesize());
});

describe('the HTTP API', () => {
  it('takes no more than its settings say', () => {
    // Assess
    api.hasResourceProperties('AWS::ApiGatewayV2::Stage', {
      StageName: '$default',
      AutoDeploy: true,
      DefaultRouteSettings: { ThrottlingRateLimit: 50, ThrottlingBurstLimit: 100 },
    });
    synthesize({ apiRequestsPerSecond: '7' }).api.hasResourceProperties(
      'AWS::ApiGatewayV2::Stage',
      { DefaultRouteSettings: Match.objectLike({ ThrottlingRateLimit: 7 }) },
    );
  });

  it('reserves calls of its function where it is set to', () => {
    // Prepare
    const reservations = (of: Template): unknown[] =>
      Object.values(of.findResources('AWS::Lambda::Function'))
        .map(({ Properties: it }) => it.ReservedConcurrentExecutions as unknown)
        .filter((reserved) => reserved !== undefined);

    // Assess
    expect(reservations(api)).toEqual([]);
    expect(reservations(synthesize({ apiReservedConcurrency: '25' }).api)).toEqual([25]);
  });

  it('writes down who asked for what and how it went, and never a key, a query or a body', () => {
    // Prepare
    const [stage] = Object.values(api.findResources('AWS::ApiGatewayV2::Stage'));
    const format = JSON.parse(stage!['Properties'].AccessLogSettings.Format) as object;

    // Assess
    expect(Object.values(format)).toEqual(
      expect.arrayContaining(['$context.requestId', '$context.path', '$context.status']),
    );
    expect(JSON.stringify(format)).not.toMatch(/header|authorizer|query|body/i);
  });

  it('gives every request to one function', () => {
    // Assess
    api.resourceCountIs('AWS::ApiGatewayV2::Route', 1);
    api.hasResourceProperties('AWS::ApiGatewayV2::Route', { RouteKey: '$default' });
    api.hasResourceProperties('AWS::ApiGatewayV2::Integration', {
      IntegrationType: 'AWS_PROXY',
      PayloadFormatVersion: '2.0',
    });
  });

  it('answers under a name of its own when it has one, and under no other then', () => {
    // Act
    const named = synthesize({
      apiDomain: 'api.example.com',
      apiCertificateArn: 'arn:aws:acm:us-east-1:123456789012:certificate/0a1b',
    }).api;

    // Assess
    api.resourceCountIs('AWS::ApiGatewayV2::DomainName', 0);
    named.hasResourceProperties('AWS::ApiGatewayV2::Api', { DisableExecuteApiEndpoint: true });
    named.hasResourceProperties('AWS::ApiGatewayV2::DomainName', {
      DomainName: 'api.example.com',
      DomainNameConfigurations: [Match.objectLike({ SecurityPolicy: 'TLS_1_2' })],
    });
    named.hasOutput('ApiUrl', { Value: 'https://api.example.com/' });
  });

  it('tells its function the limits of tenants that have none; no limit is an empty text', () => {
    // Prepare
    const limits = (requests: string) => ({
      Environment: {
        Variables: Match.objectLike({ FLEXCACHE_DEFAULT_REQUESTS_PER_MINUTE: requests }),
      },
    });

    // Assess
    api.hasResourceProperties('AWS::Lambda::Function', limits('60'));
    synthesize({ defaultRequestsPerMinute: 'null' }).api.hasResourceProperties(
      'AWS::Lambda::Function',
      limits(''),
    );
  });
});

describe('announcements', () => {
  it('are tried again one by one, as often as the function means to', () => {
    // Assess
    api.hasResourceProperties('AWS::Lambda::EventSourceMapping', {
      FunctionResponseTypes: ['ReportBatchItemFailures'],
    });
    storage.hasResourceProperties('AWS::SQS::Queue', {
      RedrivePolicy: Match.objectLike({ maxReceiveCount: MAX_DELIVERIES }),
    });
  });

  it('stay hidden for six times as long as the function may take', () => {
    // Prepare
    const timeouts = Object.entries(api.findResources('AWS::Lambda::Function'))
      .filter(([logicalId]) => logicalId.startsWith('Webhook'))
      .map(([, { Properties: properties }]) => properties.Timeout as number);
    const queues = Object.entries(storage.findResources('AWS::SQS::Queue')).filter(([logicalId]) =>
      logicalId.startsWith('WebhooksQueue'),
    );

    // Assess
    expect(queues[0]![1]['Properties'].VisibilityTimeout).toBe(6 * timeouts[0]!);
  });
});

describe('traces', () => {
  it('are made by every function when there is a layer for them, and by none without', () => {
    // Prepare
    const layer = 'arn:aws:lambda:us-east-1:123456789012:layer:AWSOpenTelemetryDistroJs:5';

    // Act
    const traced = synthesize({ telemetryLayerArn: layer }).api;

    // Assess
    traced.allResourcesProperties('AWS::Lambda::Function', {
      Layers: [layer],
      TracingConfig: { Mode: 'Active' },
      Environment: {
        Variables: Match.objectLike({ AWS_LAMBDA_EXEC_WRAPPER: '/opt/otel-instrument' }),
      },
    });
    api.allResourcesProperties('AWS::Lambda::Function', { TracingConfig: Match.absent() });
  });
});
