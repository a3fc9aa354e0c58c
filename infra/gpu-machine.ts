import * as ec2 from 'aws-cdk-lib/aws-ec2';
import type * as iam from 'aws-cdk-lib/aws-iam';
import type { Construct } from 'constructs';
import { settingsOf } from './settings.ts';

/** Root volume of Amazon's images. */
const ROOT_DEVICE = '/dev/xvda';

/** A container, one hop away, reads the instance type from the metadata service. */
const METADATA_HOPS = 2;

/** Time to store a checkpoint, in seconds; a Spot interruption notice comes two minutes ahead. */
export const STOP_SECONDS = 120;

/** Commands that configure the ECS agent of a GPU machine. */
export const AGENT_SETTINGS = [
  'ECS_ENABLE_GPU_SUPPORT=true',
  'ECS_ENABLE_SPOT_INSTANCE_DRAINING=true',
  `ECS_CONTAINER_STOP_TIMEOUT=${STOP_SECONDS}s`,
  'ECS_IMAGE_PULL_BEHAVIOR=prefer-cached',
].map((line) => `echo ${line} >> /etc/ecs/ecs.config`);

export interface GpuMachineProps {
  /** Null if its owner, such as Batch, chooses it. */
  machineImage: ec2.IMachineImage | null;
  /** Null if its owner, such as Batch, sets it. */
  role: iam.IRole | null;
  /** Null if its owner, such as Batch, sets it. */
  securityGroup: ec2.ISecurityGroup | null;
  userData: ec2.UserData;
}

/** Creates a launch template for GPU machines: encrypted disk, IMDSv2. */
export function gpuMachine(
  scope: Construct,
  id: string,
  props: GpuMachineProps,
): ec2.LaunchTemplate {
  const { machineImage, role, securityGroup, userData } = props;
  return new ec2.LaunchTemplate(scope, id, {
    ...(machineImage && { machineImage }),
    ...(role && { role }),
    ...(securityGroup && { securityGroup }),
    userData,
    requireImdsv2: true,
    httpPutResponseHopLimit: METADATA_HOPS,
    blockDevices: [
      {
        deviceName: ROOT_DEVICE,
        volume: ec2.BlockDeviceVolume.ebs(settingsOf(scope).workerDiskGibibytes, {
          volumeType: ec2.EbsDeviceVolumeType.GP3,
          encrypted: true,
          deleteOnTermination: true,
        }),
      },
    ],
  });
}
