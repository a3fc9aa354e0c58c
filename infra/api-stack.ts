import { CfnOutput, Duration, Stack, type StackProps } from 'aws-cdk-lib';
import * as apigateway from 'aws-cdk-lib/aws-apigateway';
import * as apigatewayv2 from 'aws-cdk-lib/aws-apigatewayv2';
import { HttpLambdaIntegration } from 'aws-cdk-lib/aws-apigatewayv2-integrations';
import * as acm from 'aws-cdk-lib/aws-certificatemanager';
import { SqsEventSource } from 'aws-cdk-lib/aws-lambda-event-sources';
import type * as lambda from 'aws-cdk-lib/aws-lambda';
import type { Construct } from 'constructs';
import { INPUT_PREFIX } from '#core/requests/identity.ts';
import { ENVIRONMENT } from '#functions/shared/environment.ts';
import { EXACT_KEY_INDEX, OWNER_INDEX, PROMPT_KEY_INDEX } from '#aws/table-definition.ts';
import { AppFunction, appLogGroup } from './app-function.ts';
import { MODEL_DIRECTORY, modelLayers } from './model-layers.ts';
import { settingsOf } from './settings.ts';
import { allow, WEBHOOK_TIMEOUT, type StorageStack } from './storage-stack.ts';
import { executionsOf } from './workflow-states.ts';
import type { WorkflowStack } from './workflow-stack.ts';

export interface ApiStackProps extends StackProps {
  storage: StorageStack;
  workflow: WorkflowStack;
}

/** Below the 30 s timeout of API Gateway. */
const API_TIMEOUT = Duration.seconds(29);

/** onnxruntime uses a second core above 1769 MB. */
const PREDICT_MEMORY_MEGABYTES = 1769;

/** Receivers are few but slow. */
const WEBHOOKS_AT_ONCE = 5;

/** Logged fields of a request: never a key, a query or a body. */
const ACCESS_LOG_FIELDS = {
  requestId: '$context.requestId',
  time: '$context.requestTime',
  ip: '$context.identity.sourceIp',
  method: '$context.httpMethod',
  path: '$context.path',
  status: '$context.status',
  milliseconds: '$context.responseLatency',
  bytes: '$context.responseLength',
  error: '$context.error.message',
};

/** The HTTP API and webhooks. */
export class ApiStack extends Stack {
  readonly httpApi: apigatewayv2.HttpApi;
  readonly api: AppFunction;
  readonly predict: AppFunction;
  readonly webhook: AppFunction;

  constructor(scope: Construct, id: string, { storage, workflow, ...props }: ApiStackProps) {
    super(scope, id, props);
    const { embedder, onnxRuntime } = modelLayers(this);
    const shared = this.#sharedVariables(storage);
    this.predict = new AppFunction(this, 'Predict', {
      description: 'Estimates the cost of a backfill',
      folder: 'predict',
      environment: {
        ...shared,
        [ENVIRONMENT.backfillMax]: String(settingsOf(this).backfillMax),
      },
      memoryMegabytes: PREDICT_MEMORY_MEGABYTES,
      layers: [...embedder, ...onnxRuntime],
      timeout: API_TIMEOUT,
    });
    this.api = new AppFunction(this, 'Api', {
      description: 'Serves the HTTP API',
      folder: 'api',
      environment: { ...shared, ...this.#apiVariables(storage, workflow) },
      layers: embedder,
      timeout: API_TIMEOUT,
      reservedConcurrency: settingsOf(this).apiReservedConcurrency,
    });
    this.webhook = new AppFunction(this, 'Webhook', {
      description: 'Delivers webhook events',
      folder: 'webhook',
      environment: { ...shared, [ENVIRONMENT.webhookQueueUrl]: storage.webhooks.queue.queueUrl },
      timeout: WEBHOOK_TIMEOUT,
    });
    this.webhook.addEventSource(
      new SqsEventSource(storage.webhooks.queue, {
        reportBatchItemFailures: true,
        maxConcurrency: WEBHOOKS_AT_ONCE,
      }),
    );
    this.#allow(storage, workflow);
    this.httpApi = this.#createHttpApi(this.api);
  }

  #sharedVariables(storage: StorageStack): Record<string, string> {
    const { storageClass, videosExpireAfterDays } = settingsOf(this);
    return {
      [ENVIRONMENT.tableName]: storage.table.tableName,
      [ENVIRONMENT.vectorIndexArn]: storage.vectorIndex.attrIndexArn,
      [ENVIRONMENT.latentsBucket]: storage.latents.bucketName,
      [ENVIRONMENT.videosBucket]: storage.videos.bucketName,
      [ENVIRONMENT.videosExpireAfterDays]: String(videosExpireAfterDays ?? ''),
      [ENVIRONMENT.storageClass]: storageClass,
      [ENVIRONMENT.modelDirectory]: MODEL_DIRECTORY,
    };
  }

  #apiVariables(storage: StorageStack, workflow: WorkflowStack): Record<string, string> {
    const settings = settingsOf(this);
    const limit = (value: number | null): string => (value === null ? '' : String(value));
    return {
      [ENVIRONMENT.webhookQueueUrl]: storage.webhooks.queue.queueUrl,
      [ENVIRONMENT.generateArn]: workflow.generate.stateMachineArn,
      [ENVIRONMENT.backfillArn]: workflow.backfill.stateMachineArn,
      [ENVIRONMENT.predictFunction]: this.predict.functionArn,
      [ENVIRONMENT.interactiveMax]: String(settings.interactiveMax),
      [ENVIRONMENT.corsOrigins]: (settings.apiCorsOrigins ?? []).join(','),
      [ENVIRONMENT.defaultRequestsPerMinute]: limit(settings.defaultRequestsPerMinute),
      [ENVIRONMENT.defaultConcurrentJobs]: limit(settings.defaultConcurrentJobs),
      [ENVIRONMENT.defaultBudgetPerDayUsd]: limit(settings.defaultBudgetPerDayUsd),
    };
  }

  #allow(storage: StorageStack, workflow: WorkflowStack): void {
    const { api, predict, webhook } = this;
    storage.allowTable(
      api,
      'dynamodb:BatchGetItem',
      'dynamodb:DeleteItem',
      'dynamodb:GetItem',
      'dynamodb:PutItem',
      'dynamodb:Query',
      'dynamodb:UpdateItem',
    );
    storage.allowQuery(api, OWNER_INDEX, EXACT_KEY_INDEX);
    storage.allowVectors(api, 's3vectors:DeleteVectors');
    storage.allowObjects(api, INPUT_PREFIX, 's3:PutObject');
    // A signed URL has the permissions of its signer.
    storage.allowObjects(api, 'videos/', 's3:GetObject');
    storage.allowObjects(api, 'backfills/', 's3:GetObject', 's3:PutObject');
    allow(api, ['sqs:SendMessage'], [storage.webhooks.queue.queueArn]);
    allow(api, ['lambda:InvokeFunction'], [predict.functionArn]);
    for (const machine of [workflow.generate, workflow.backfill]) {
      allow(api, ['states:StartExecution'], [machine.stateMachineArn]);
      allow(
        api,
        ['states:DescribeExecution', 'states:StopExecution'],
        [executionsOf(this, machine.stateMachineName)],
      );
    }

    storage.allowTable(predict, 'dynamodb:BatchGetItem', 'dynamodb:GetItem');
    storage.allowQuery(predict, EXACT_KEY_INDEX, PROMPT_KEY_INDEX, OWNER_INDEX);
    storage.allowVectors(predict, 's3vectors:QueryVectors', 's3vectors:GetVectors');
    storage.allowObjects(predict, 'uploads/', 's3:GetObject');
    // Checks whether the video of an exact hit still exists.
    storage.allowObjects(predict, 'videos/', 's3:GetObject');

    storage.allowTable(webhook, 'dynamodb:GetItem', 'dynamodb:Query', 'dynamodb:UpdateItem');
    // The event of a backfill contains the URL of its results.
    storage.allowObjects(webhook, 'backfills/', 's3:GetObject');
  }

  #createHttpApi(handler: lambda.IFunction): apigatewayv2.HttpApi {
    const { apiDomain, apiRequestsPerSecond, apiBurst } = settingsOf(this);
    const httpApi = new apigatewayv2.HttpApi(this, 'HttpApi', {
      description: 'FlexCache: text-to-video API',
      createDefaultStage: false,
      disableExecuteApiEndpoint: apiDomain !== null,
      defaultIntegration: new HttpLambdaIntegration('Handler', handler),
    });
    const domain = this.#createDomain();
    const stage = new apigatewayv2.HttpStage(this, 'Stage', {
      httpApi,
      stageName: '$default',
      autoDeploy: true,
      throttle: { rateLimit: apiRequestsPerSecond, burstLimit: apiBurst },
      accessLogSettings: {
        destination: new apigatewayv2.LogGroupLogDestination(appLogGroup(this, 'AccessLogs')),
        format: apigateway.AccessLogFormat.custom(JSON.stringify(ACCESS_LOG_FIELDS)),
      },
      ...(domain && { domainMapping: { domainName: domain } }),
    });
    new CfnOutput(this, 'ApiUrl', {
      description: 'Base URL of the API, for clients: append /v1',
      value: domain === null ? stage.url : `https://${apiDomain}/`,
    });
    return httpApi;
  }

  #createDomain(): apigatewayv2.DomainName | null {
    const { apiDomain, apiCertificateArn } = settingsOf(this);
    if (apiDomain === null) return null;
    const domain = new apigatewayv2.DomainName(this, 'Domain', {
      domainName: apiDomain,
      certificate: acm.Certificate.fromCertificateArn(this, 'Certificate', apiCertificateArn!),
      securityPolicy: apigatewayv2.SecurityPolicy.TLS_1_2,
    });
    new CfnOutput(this, 'ApiDomainTarget', {
      description: 'Target of the DNS alias for apiDomain',
      value: domain.regionalDomainName,
    });
    return domain;
  }
}
