import * as ec2 from 'aws-cdk-lib/aws-ec2';
import type * as iam from 'aws-cdk-lib/aws-iam';
import type { Construct } from 'constructs';
import { settingsOf } from './settings.ts';

/** Of the root volume in Amazon's images. */
const ROOT_DEVICE = '/dev/xvda';

/** A container reads from the metadata service which machine it is on, and is one hop away from it. */
const METADATA_HOPS = 2;

/** Seconds that a worker has to store a checkpoint; a Spot notice comes two minutes ahead. */
export const STOP_SECONDS = 120;

/** Lines that the ECS agent of every GPU machine starts with. */
export const AGENT_SETTINGS = [
  'ECS_ENABLE_GPU_SUPPORT=true',
  'ECS_ENABLE_SPOT_INSTANCE_DRAINING=true',
  `ECS_CONTAINER_STOP_TIMEOUT=${STOP_SECONDS}s`,
  'ECS_IMAGE_PULL_BEHAVIOR=prefer-cached',
].map((line) => `echo ${line} >> /etc/ecs/ecs.config`);

export interface GpuMachineProps {
  /** Null where the machine's owner chooses, as Batch does. */
  machineImage: ec2.IMachineImage | null;
  /** Null where the machine's owner gives it. */
  role: iam.IRole | null;
  /** Null where the machine's owner gives it. */
  securityGroup: ec2.ISecurityGroup | null;
  userData: ec2.UserData;
}

/** A GPU machine as every one of ours is: encrypted disk, session-bound metadata. */
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
