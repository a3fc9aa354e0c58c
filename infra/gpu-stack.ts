import { Stack, type StackProps } from 'aws-cdk-lib';
import type { Construct } from 'constructs';
import { BackfillPool } from './backfill-pool.ts';
import type { FleetResources } from './fleet-resources.ts';
import { InteractivePool } from './interactive-pool.ts';
import type { StorageStack } from './storage-stack.ts';
import { Worker } from './worker.ts';
import { workerImage } from './worker-image.ts';
import { WorkerNetwork } from './worker-network.ts';

export interface GpuStackProps extends StackProps {
  storage: StorageStack;
}

/** The machines that generate videos. The workflow stack, which depends on this one, starts them. */
export class GpuStack extends Stack {
  readonly interactive: InteractivePool;
  readonly backfill: BackfillPool;
  readonly workers: readonly Worker[];

  constructor(scope: Construct, id: string, { storage, ...props }: GpuStackProps) {
    super(scope, id, props);
    const network = new WorkerNetwork(this, 'Network');
    const image = workerImage(this);
    const interactive = new Worker(this, 'InteractiveWorker', {
      storage,
      image,
      pool: 'interactive',
    });
    const backfill = new Worker(this, 'BackfillWorker', { storage, image, pool: 'backfill' });
    this.workers = [interactive, backfill];
    this.interactive = new InteractivePool(this, 'Interactive', { network, worker: interactive });
    this.backfill = new BackfillPool(this, 'Backfill', { network, worker: backfill });
  }

  get fleetResources(): FleetResources {
    return {
      clusterName: this.interactive.cluster.clusterName,
      serviceName: this.interactive.service.serviceName,
      serviceArn: this.interactive.service.serviceArn,
      clusterArn: this.interactive.cluster.clusterArn,
      machinesName: this.interactive.machines.autoScalingGroupName,
      jobQueueArn: this.backfill.jobQueue.jobQueueArn,
      jobDefinitionName: this.backfill.jobDefinitionName,
      workerRoles: this.workers.map(({ role }) => role),
    };
  }
}
