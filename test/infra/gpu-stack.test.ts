import { Match, type Template } from 'aws-cdk-lib/assertions';
import { beforeAll, describe, expect, it } from 'vitest';
import { synthesizeStacks, templateOf } from './stack-template.ts';

function synthesize(context: Record<string, unknown> = {}): Template {
  return templateOf(synthesizeStacks(context), 'FlexCacheGpu');
}

/** Properties of the one resource of a type. */
function only<Properties>(template: Template, type: string): Properties {
  const resources = Object.values(template.findResources(type));
  expect(resources).toHaveLength(1);
  return resources[0]!['Properties'] as Properties;
}

interface TaskDefinition {
  NetworkMode: string;
  ContainerDefinitions: { Environment: { Name: string; Value: unknown }[] }[];
}

interface JobQueue {
  ComputeEnvironmentOrder: { ComputeEnvironment: { 'Fn::GetAtt': [string, string] } }[];
  JobStateTimeLimitActions: { Reason: string }[];
}

interface ScalingGroup {
  MixedInstancesPolicy: {
    InstancesDistribution: { OnDemandPercentageAboveBaseCapacity: number };
  };
}

const EXISTING_NETWORK = {
  vpcId: 'vpc-0a1b2c3d',
  subnetIds: 'subnet-0a1b2c3d,subnet-0a1b2c3e',
  availabilityZones: 'us-east-1a,us-east-1b',
};

let template: Template;

beforeAll(() => {
  template = synthesize();
});

describe('the network of the workers', () => {
  it('costs nothing while nothing runs: no NAT, no interface endpoint, no address', () => {
    // Assess
    template.resourceCountIs('AWS::EC2::NatGateway', 0);
    template.resourceCountIs('AWS::EC2::EIP', 0);
    template.allResourcesProperties('AWS::EC2::VPCEndpoint', { VpcEndpointType: 'Gateway' });
    template.resourceCountIs('AWS::EC2::VPCEndpoint', 2);
  });

  it('lets nothing in', () => {
    // Assess
    template.resourceCountIs('AWS::EC2::SecurityGroupIngress', 0);
    template.allResourcesProperties('AWS::EC2::SecurityGroup', {
      SecurityGroupIngress: Match.absent(),
    });
  });

  it('has as many zones as were asked for', () => {
    // Assess
    template.resourceCountIs('AWS::EC2::Subnet', 3);
    synthesize({ zones: '2' }).resourceCountIs('AWS::EC2::Subnet', 2);
  });

  it('is an existing one when one is named', () => {
    // Prepare
    const subnets = ['subnet-0a1b2c3d', 'subnet-0a1b2c3e'];
    const existing = synthesize(EXISTING_NETWORK);

    // Assess
    existing.resourceCountIs('AWS::EC2::VPC', 0);
    existing.hasResourceProperties('AWS::AutoScaling::AutoScalingGroup', {
      VPCZoneIdentifier: subnets,
    });
    existing.allResourcesProperties('AWS::Batch::ComputeEnvironment', {
      ComputeResources: Match.objectLike({ Subnets: subnets }),
    });
  });
});

describe('a GPU machine', () => {
  it('has an encrypted disk and answers only sessions with its metadata', () => {
    // Assess
    template.resourceCountIs('AWS::EC2::LaunchTemplate', 2);
    template.allResourcesProperties('AWS::EC2::LaunchTemplate', {
      LaunchTemplateData: Match.objectLike({
        MetadataOptions: Match.objectLike({ HttpTokens: 'required' }),
        BlockDeviceMappings: [
          { DeviceName: '/dev/xvda', Ebs: Match.objectLike({ Encrypted: true, VolumeSize: 100 }) },
        ],
      }),
    });
  });

  it('drains when its Spot capacity is taken away, and gives workers their two minutes', () => {
    // Prepare
    const userData = Object.values(template.findResources('AWS::EC2::LaunchTemplate')).map(
      ({ Properties: properties }) => JSON.stringify(properties.LaunchTemplateData.UserData),
    );

    // Assess
    for (const script of userData) {
      expect(script).toContain('ECS_ENABLE_SPOT_INSTANCE_DRAINING=true');
      expect(script).toContain('ECS_CONTAINER_STOP_TIMEOUT=120s');
    }
  });
});

describe('the interactive pool', () => {
  it('has no machine until a worker is asked for, and at most as many as it may', () => {
    // Assess
    template.hasResourceProperties('AWS::AutoScaling::AutoScalingGroup', {
      MinSize: '0',
      MaxSize: '2',
      DesiredCapacity: Match.absent(),
      NewInstancesProtectedFromScaleIn: true,
    });
    template.hasResourceProperties('AWS::ECS::CapacityProvider', {
      AutoScalingGroupProvider: Match.objectLike({
        ManagedScaling: Match.objectLike({ Status: 'ENABLED', TargetCapacity: 100 }),
        ManagedTerminationProtection: 'ENABLED',
        ManagedDraining: 'ENABLED',
      }),
    });
  });

  it('buys its machines as it is told', () => {
    // Prepare
    const shareOnDemand = (found: Template): number =>
      only<ScalingGroup>(found, 'AWS::AutoScaling::AutoScalingGroup').MixedInstancesPolicy
        .InstancesDistribution.OnDemandPercentageAboveBaseCapacity;

    // Assess
    expect(shareOnDemand(template)).toBe(100);
    expect(shareOnDemand(synthesize({ interactivePurchase: 'spot' }))).toBe(0);
  });

  it('runs one worker on each machine, by the host’s network', () => {
    // Prepare
    const { NetworkMode: networkMode, ContainerDefinitions: containers } = only<TaskDefinition>(
      template,
      'AWS::ECS::TaskDefinition',
    );

    // Assess
    expect(networkMode).toBe('host');
    expect(containers).toHaveLength(1);
    expect(containers[0]).toMatchObject({
      ResourceRequirements: [{ Type: 'GPU', Value: '1' }],
      StopTimeout: 120,
      HealthCheck: { Command: ['CMD', 'node', 'health.js'] },
    });
  });

  it('keeps the number of workers when it is deployed again', () => {
    // Prepare
    const { DesiredCount: desiredCount, ServiceName: service } = only<Record<string, unknown>>(
      template,
      'AWS::ECS::Service',
    );
    const [[logicalId, count]] = Object.entries(template.findResources('Custom::DesiredCount')) as [
      [string, { Properties: Record<string, unknown> }],
    ];
    const [task] = Object.keys(template.findResources('AWS::ECS::TaskDefinition'));

    // Assess
    expect(desiredCount).toEqual({ 'Fn::GetAtt': [logicalId, 'DesiredCount'] });
    expect(count.Properties).toMatchObject({ Service: service, TaskDefinition: { Ref: task } });
  });

  it('gives up a deployment whose workers do not come up', () => {
    // Assess
    template.hasResourceProperties('AWS::ECS::Service', {
      DeploymentConfiguration: Match.objectLike({
        DeploymentCircuitBreaker: { Enable: true, Rollback: true },
      }),
    });
  });
});

describe('the backfill pool', () => {
  it('looks for Spot machines first and for On-Demand ones then', () => {
    // Prepare
    const { ComputeEnvironmentOrder: order } = only<JobQueue>(template, 'AWS::Batch::JobQueue');
    const environments = template.findResources('AWS::Batch::ComputeEnvironment');

    // Act
    const types = order.map(
      ({ ComputeEnvironment: environment }) =>
        environments[environment['Fn::GetAtt'][0]]!['Properties'].ComputeResources.Type,
    );

    // Assess
    expect(types).toEqual(['SPOT', 'EC2']);
  });

  it.each([
    ['spot', 'SPOT'],
    ['on-demand', 'EC2'],
  ])('buys %s machines alone when told so', (backfillPurchase, type) => {
    // Assess
    const { ComputeResources: resources } = only<{ ComputeResources: { Type: string } }>(
      synthesize({ backfillPurchase }),
      'AWS::Batch::ComputeEnvironment',
    );
    expect(resources.Type).toBe(type);
  });

  it('has no machine while there is no job, and room for as many jobs as it may run', () => {
    // Assess
    template.allResourcesProperties('AWS::Batch::ComputeEnvironment', {
      ComputeResources: Match.objectLike({ MinvCpus: 0, MaxvCpus: 4 * 4 }),
    });
    synthesize({
      backfillMax: '10',
      backfillInstanceTypes: 'g6.xlarge,g6.2xlarge',
      priceOverrides: 'ec2.g6.2xlarge.spot=0.4,ec2.g6.2xlarge.on-demand=0.98',
    }).allResourcesProperties('AWS::Batch::ComputeEnvironment', {
      ComputeResources: Match.objectLike({ MaxvCpus: 10 * 8 }),
    });
  });

  it('follows its launch template when that changes', () => {
    // Assess
    template.allResourcesProperties('AWS::Batch::ComputeEnvironment', {
      ComputeResources: Match.objectLike({
        LaunchTemplate: Match.objectLike({
          Version: { 'Fn::GetAtt': [Match.anyValue(), 'LatestVersionNumber'] },
        }),
      }),
    });
  });

  it('tries again when a Spot machine is taken away, and drains its queue', () => {
    // Assess
    template.hasResourceProperties('AWS::Batch::JobDefinition', {
      RetryStrategy: {
        Attempts: 10,
        EvaluateOnExit: Match.arrayWith([{ Action: 'RETRY', OnStatusReason: 'Host EC2*' }]),
      },
      ContainerProperties: Match.objectLike({
        Environment: Match.arrayWith([{ Name: 'FLEXCACHE_STOP_WHEN_EMPTY', Value: 'true' }]),
        ResourceRequirements: Match.arrayWith([{ Type: 'GPU', Value: '1' }]),
      }),
    });
  });

  it('cancels jobs that could never run', () => {
    // Prepare
    const { JobStateTimeLimitActions: actions } = only<JobQueue>(template, 'AWS::Batch::JobQueue');

    // Assess
    expect(actions.map(({ Reason: reason }) => reason)).toContain(
      'MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT',
    );
  });
});

describe('the model package', () => {
  it('is fetched from where the settings say, by workers that may read it there', () => {
    // Prepare
    const remote = synthesize({ modelSource: 's3://models/wan/2.2', workerBatch: 4 });
    const { ContainerDefinitions: containers } = only<TaskDefinition>(
      remote,
      'AWS::ECS::TaskDefinition',
    );

    // Assess
    expect(containers[0]!.Environment).toContainEqual({
      Name: 'FLEXCACHE_MODEL_SOURCE',
      Value: 's3://models/wan/2.2',
    });
    expect(containers[0]!.Environment).toContainEqual({
      Name: 'FLEXCACHE_MODEL_REVISION',
      Value: expect.stringMatching(/^[0-9a-f]{64}$/),
    });
    expect(containers[0]!.Environment).toContainEqual({ Name: 'FLEXCACHE_BATCH', Value: '4' });
    remote.hasResourceProperties('AWS::IAM::Policy', {
      PolicyDocument: Match.objectLike({
        Statement: Match.arrayWith([
          Match.objectLike({
            Action: 's3:GetObject',
            // Beside the images that requests begin with: CDK joins what allows the same.
            Resource: Match.arrayWith([
              { 'Fn::Join': ['', ['arn:', { Ref: 'AWS::Partition' }, ':s3:::models/wan/2.2/*']] },
            ]),
          }),
        ]),
      }),
    });
  });
});
