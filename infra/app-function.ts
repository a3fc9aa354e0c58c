import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { RemovalPolicy, type Duration } from 'aws-cdk-lib';
import * as iam from 'aws-cdk-lib/aws-iam';
import * as lambda from 'aws-cdk-lib/aws-lambda';
import * as logs from 'aws-cdk-lib/aws-logs';
import type * as sqs from 'aws-cdk-lib/aws-sqs';
import type { Construct } from 'constructs';
import { buildSync } from 'esbuild';
import { priceVariables } from './prices.ts';
import { REPOSITORY_ROOT } from './repository-root.ts';
import { settingsOf } from './settings.ts';

export interface HouseFunctionProps {
  description: string;
  /** Folder in `functions/` with the `handler.ts`. */
  folder: string;
  environment: Record<string, string>;
  timeout: Duration;
  memoryMegabytes?: number;
  layers?: lambda.ILayerVersion[];
  /** Receives events of failed asynchronous invocations. */
  deadLetterQueue?: sqs.IQueue;
  /** Reserved concurrency, which is also the maximum; none if null. */
  reservedConcurrency?: number | null;
  /** Suppresses Lambda's platform logs of successful calls, for functions that are called often. */
  isQuiet?: boolean;
}

export const RUNTIME = lambda.Runtime.NODEJS_24_X;

/** Architecture of every function and layer. onnxruntime is proven on x86 Lambda, not on arm64. */
export const ARCHITECTURE = lambda.Architecture.X86_64;

const DEFAULT_MEMORY_MEGABYTES = 512;

/** Native modules, which come from a layer. */
const EXTERNAL_MODULES = ['onnxruntime-node'];

/** Node resolves a layer's modules only in CommonJS, which has no `import.meta`. */
const BUNDLE_URL = 'flexcacheBundleUrl';
const BUNDLE_URL_BANNER = `const ${BUNDLE_URL} = require('node:url').pathToFileURL(__filename).href;`;

const STUB = "exports.handler = async () => { throw new Error('synthesized without code'); };";

/** Wrapper script in AWS's OpenTelemetry layer for Node. */
const TELEMETRY_WRAPPER = '/opt/otel-instrument';

/** Returns whether to bundle the functions' code; templates alone do not need it. */
export function isBundled(scope: Construct): boolean {
  return settingsOf(scope).bundle;
}

/** Creates a log group with the common retention. */
export function appLogGroup(scope: Construct, id: string): logs.LogGroup {
  return new logs.LogGroup(scope, id, {
    retention: settingsOf(scope).logRetentionDays as logs.RetentionDays,
    removalPolicy: RemovalPolicy.DESTROY,
  });
}

/**
 * A Lambda function with the common runtime, memory, logs, traces and bundling. Its role can write its own
 * logs; grant everything else explicitly.
 */
export class AppFunction extends lambda.Function {
  constructor(scope: Construct, id: string, props: HouseFunctionProps) {
    const bundle = isBundled(scope) ? bundleHandler(props.folder) : null;
    const { telemetryLayerArn } = settingsOf(scope);
    const isTraced = telemetryLayerArn !== null;
    const logGroup = appLogGroup(scope, `${id}Logs`);
    const role = new iam.Role(scope, `${id}Role`, {
      description: props.description,
      assumedBy: new iam.ServicePrincipal('lambda.amazonaws.com'),
    });
    logGroup.grantWrite(role);
    super(scope, id, {
      description: props.description,
      role,
      runtime: RUNTIME,
      architecture: ARCHITECTURE,
      memorySize: props.memoryMegabytes ?? DEFAULT_MEMORY_MEGABYTES,
      timeout: props.timeout,
      ...(props.reservedConcurrency && {
        reservedConcurrentExecutions: props.reservedConcurrency,
      }),
      handler: 'index.handler',
      code: bundle === null ? lambda.Code.fromInline(STUB) : lambda.Code.fromAsset(bundle),
      layers: [
        ...(props.layers ?? []),
        ...(isTraced
          ? [lambda.LayerVersion.fromLayerVersionArn(scope, `${id}Telemetry`, telemetryLayerArn)]
          : []),
      ],
      environment: {
        ...props.environment,
        ...priceVariables(settingsOf(scope)),
        NODE_OPTIONS: '--enable-source-maps',
        ...(isTraced && { AWS_LAMBDA_EXEC_WRAPPER: TELEMETRY_WRAPPER }),
      },
      tracing: isTraced ? lambda.Tracing.ACTIVE : lambda.Tracing.DISABLED,
      loggingFormat: lambda.LoggingFormat.JSON,
      ...(props.isQuiet && { systemLogLevelV2: lambda.SystemLogLevel.WARN }),
      ...(props.deadLetterQueue && { deadLetterQueue: props.deadLetterQueue }),
      logGroup,
    });
    // The CDK has copied the asset.
    if (bundle !== null) rmSync(bundle, { recursive: true });
  }
}

/** Bundles a handler and its imports into one file; returns the folder. */
export function bundleHandler(folder: string): string {
  const outputFolder = mkdtempSync(join(tmpdir(), 'flexcache-bundle-'));
  buildSync({
    entryPoints: [resolve(REPOSITORY_ROOT, 'functions', folder, 'handler.ts')],
    outfile: join(outputFolder, 'index.js'),
    absWorkingDir: REPOSITORY_ROOT,
    bundle: true,
    platform: 'node',
    target: 'node24',
    format: 'cjs',
    define: { 'import.meta.url': BUNDLE_URL },
    mainFields: ['module', 'main'],
    banner: { js: BUNDLE_URL_BANNER },
    external: EXTERNAL_MODULES,
    minifySyntax: true,
    keepNames: true,
    sourcemap: true,
    sourcesContent: false,
    logLevel: 'error',
  });
  return outputFolder;
}
