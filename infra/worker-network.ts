import { Fn, Token, Validations } from 'aws-cdk-lib';
import * as ec2 from 'aws-cdk-lib/aws-ec2';
import { Construct } from 'constructs';
import { appLogGroup } from './app-function.ts';
import { settingsOf, type Settings } from './settings.ts';

/**
 * Network of the workers, which only make outbound connections: public subnets with a security group without
 * inbound rules, and no NAT, which would dominate the idle cost. Gateway endpoints keep traffic to S3 and
 * DynamoDB inside AWS.
 */
export class WorkerNetwork extends Construct {
  readonly vpc: ec2.IVpc;
  readonly subnets: ec2.SubnetSelection;
  readonly securityGroup: ec2.SecurityGroup;

  constructor(scope: Construct, id: string) {
    super(scope, id);
    const settings = settingsOf(this);
    this.vpc = (
      settings.vpcId === null ? this.#createVpc(settings) : this.#existingVpc(settings)
    ) as ec2.IVpc;
    this.subnets = { subnets: this.vpc.publicSubnets };
    this.securityGroup = new ec2.SecurityGroup(this, 'Workers', {
      vpc: this.vpc,
      description: 'Workers: everything out, nothing in',
      allowAllOutbound: true,
    });
  }

  #createVpc({ zones }: Settings): ec2.Vpc {
    const vpc = new ec2.Vpc(this, 'Vpc', {
      // By index, which needs no lookup in the account.
      availabilityZones: Array.from({ length: zones }, (_, zone) =>
        Token.asString(Fn.select(zone, Fn.getAzs())),
      ),
      natGateways: 0,
      subnetConfiguration: [{ name: 'Workers', subnetType: ec2.SubnetType.PUBLIC, cidrMask: 20 }],
      restrictDefaultSecurityGroup: false,
      gatewayEndpoints: {
        S3: { service: ec2.GatewayVpcEndpointAwsService.S3 },
        DynamoDB: { service: ec2.GatewayVpcEndpointAwsService.DYNAMODB },
      },
    });
    vpc.addFlowLog('Refused', {
      trafficType: ec2.FlowLogTrafficType.REJECT,
      destination: ec2.FlowLogDestination.toCloudWatchLogs(appLogGroup(this, 'RefusedLogs')),
    });
    return vpc;
  }

  #existingVpc({ vpcId, subnetIds, availabilityZones }: Settings): ec2.IVpc {
    const vpc = ec2.Vpc.fromVpcAttributes(this, 'ExistingVpc', {
      vpcId: vpcId!,
      availabilityZones: availabilityZones!,
      // The CDK's name; the owner of the VPC decides whether they are public.
      publicSubnetIds: subnetIds!,
    });
    Validations.of(vpc).acknowledge({
      id: 'Annotation::@aws-cdk/aws-ec2:noSubnetRouteTableId',
      reason: 'Routes of an existing VPC are not changed.',
    });
    return vpc;
  }
}
