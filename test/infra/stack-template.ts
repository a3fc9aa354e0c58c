import { Template } from 'aws-cdk-lib/assertions';
import type { CloudAssembly } from 'aws-cdk-lib/cx-api';

/** Fingerprints of assets: of code, images and layers. */
const FINGERPRINT = /[0-9a-f]{64}/g;

/** The stacks in the order in which they are deployed. */
export const STACKS = [
  'FlexCacheStorage',
  'FlexCacheGpu',
  'FlexCacheRetention',
  'FlexCacheWorkflow',
  'FlexCacheApi',
  'FlexCacheObservability',
] as const;

/** A stack to make assertions about. */
export function templateOf(assembly: CloudAssembly, stack: string): Template {
  return Template.fromJSON(assembly.getStackByName(stack).template as Record<string, unknown>);
}

/** A stack as it would be deployed, without what differs with every change of code. */
export function scrubbedTemplate(assembly: CloudAssembly, stack: string): unknown {
  const text = JSON.stringify(assembly.getStackByName(stack).template);
  return JSON.parse(text.replaceAll(FINGERPRINT, '[fingerprint]')) as unknown;
}
