import { Template } from 'aws-cdk-lib/assertions';
import type { CloudAssembly } from 'aws-cdk-lib/cx-api';
import { createApp } from '#infra/create-app.ts';

/** Fingerprints of assets: of code, images and layers. */
const FINGERPRINT = /[0-9a-f]{64}/g;

/** The stacks in the order in which they are deployed. */
export const STACKS = [
  'FlexCacheStorage',
  'FlexCacheGpu',
  'FlexCacheObservability',
  'FlexCacheWorkflow',
  'FlexCacheApi',
  'FlexCacheRetention',
] as const;

/**
 * All stacks with these settings, without code. CloudFormation's schemas are held against them once,
 * with the AWS Solutions rules: it takes most of the time.
 */
export function synthesizeStacks(context: Record<string, unknown> = {}): CloudAssembly {
  const { app } = createApp({ context: { bundle: 'false', ...context } });
  return app.synth({ skipValidation: true });
}

/** A stack to make assertions about. */
export function templateOf(assembly: CloudAssembly, stack: string): Template {
  return Template.fromJSON(assembly.getStackByName(stack).template as Record<string, unknown>);
}

/** A stack as it would be deployed, without what differs with every change of code. */
export function scrubbedTemplate(assembly: CloudAssembly, stack: string): unknown {
  const text = JSON.stringify(assembly.getStackByName(stack).template);
  return JSON.parse(text.replaceAll(FINGERPRINT, '[fingerprint]')) as unknown;
}
