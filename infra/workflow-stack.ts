import { Duration, RemovalPolicy, Stack, type StackProps } from 'aws-cdk-lib';
import * as events from 'aws-cdk-lib/aws-events';
import * as targets from 'aws-cdk-lib/aws-events-targets';
import * as lambda from 'aws-cdk-lib/aws-lambda';
import * as logs from 'aws-cdk-lib/aws-logs';
import * as sfn from 'aws-cdk-lib/aws-stepfunctions';
import * as tasks from 'aws-cdk-lib/aws-stepfunctions-tasks';
import type { Construct } from 'constructs';
import { ENVIRONMENT } from '#functions/environment.ts';
import { TRANSIENT_ERROR } from '#functions/task-error.ts';
import { EXACT_KEY_INDEX, PROMPT_KEY_INDEX } from '#stores/table-definition.ts';
import { HouseFunction } from './house-function.ts';
import { MODEL_DIRECTORY, modelLayers } from './model-layers.ts';
import type { StorageStack } from './storage-stack.ts';

export interface WorkflowStackProps extends StackProps {
  storage: StorageStack;
}

const FUNCTION_TIMEOUT = Duration.seconds(60);

/** onnxruntime uses a second core from 1769 MB on; the text tower has no use for more. */
const EMBED_MEMORY_MEGABYTES = 1769;

/**
 * Its clock runs while a message still waits: longer than the worst queue and a GPU instance's start
 * together. A worker that dies is found by the queue's visibility, not by this.
 */
const GENERATE_HEARTBEAT = Duration.minutes(30);
const GENERATE_TIMEOUT = Duration.hours(2);
const EXECUTION_TIMEOUT = Duration.hours(6);

/** Errors that the same call may not meet again: ours, and those of the Lambda service itself. */
const TRANSIENT_ERRORS = [
  TRANSIENT_ERROR,
  'Lambda.ClientExecutionTimeoutException',
  'Lambda.ServiceException',
  'Lambda.AWSLambdaException',
  'Lambda.SdkClientException',
  'Lambda.TooManyRequestsException',
];

const SQS_ERRORS = ['SQS.AmazonSQSException', 'SQS.SdkClientException'];

const SPREAD_OUT: Omit<sfn.RetryProps, 'errors'> = {
  interval: Duration.seconds(1),
  maxAttempts: 4,
  backoffRate: 2,
  maxDelay: Duration.seconds(20),
  jitterStrategy: sfn.JitterType.FULL,
};

interface Functions {
  embed: lambda.Function;
  lookup: lambda.Function;
  commit: lambda.Function;
  fail: lambda.Function;
}

/**
 * The `generate` state machine and its functions. In JSONPath, because the embedded engine runs this
 * very definition and knows no other language.
 */
export class WorkflowStack extends Stack {
  readonly stateMachine: sfn.StateMachine;
  readonly functions: Functions;

  constructor(scope: Construct, id: string, { storage, ...props }: WorkflowStackProps) {
    super(scope, id, props);
    this.functions = this.#createFunctions(storage);
    this.stateMachine = new sfn.StateMachine(this, 'Generate', {
      comment: 'Makes one video: embeds the prompt, looks for donors, generates, commits.',
      definitionBody: sfn.DefinitionBody.fromChainable(this.#define(storage)),
      stateMachineType: sfn.StateMachineType.STANDARD,
      timeout: EXECUTION_TIMEOUT,
      tracingEnabled: true,
      logs: {
        destination: new logs.LogGroup(this, 'GenerateLogs', {
          retention: logs.RetentionDays.ONE_MONTH,
          removalPolicy: RemovalPolicy.DESTROY,
        }),
        level: sfn.LogLevel.ERROR,
        // Prompts stay out of the logs.
        includeExecutionData: false,
      },
    });
    this.#failJobsOfEndedExecutions();
  }

  #define(storage: StorageStack): sfn.IChainable {
    const embed = this.#invoke('Embed', this.functions.embed, '$.embed');
    const lookup = this.#invoke('Lookup', this.functions.lookup, '$.lookup');
    const commit = this.#invoke('Commit', this.functions.commit);
    const generate = new tasks.SqsSendMessage(this, 'GenerateState', {
      stateName: 'Generate',
      comment: 'Waits until a GPU worker answers the token.',
      queue: storage.work.interactive.queue,
      integrationPattern: sfn.IntegrationPattern.WAIT_FOR_TASK_TOKEN,
      messageBody: sfn.TaskInput.fromObject({
        taskToken: sfn.JsonPath.taskToken,
        request: sfn.JsonPath.objectAt('$.request'),
        plan: sfn.JsonPath.objectAt('$.lookup.plan'),
        embedding: sfn.JsonPath.objectAt('$.embed.embedding'),
      }),
      heartbeatTimeout: sfn.Timeout.duration(GENERATE_HEARTBEAT),
      taskTimeout: sfn.Timeout.duration(GENERATE_TIMEOUT),
      resultPath: '$.generation',
    })
      .addRetry({ errors: SQS_ERRORS, ...SPREAD_OUT })
      // A lost message: the next attempt sends another, and the old token is void.
      .addRetry({ errors: [sfn.Errors.HEARTBEAT_TIMEOUT], ...SPREAD_OUT, maxAttempts: 1 });

    const fail = this.#invoke('Fail', this.functions.fail, sfn.JsonPath.DISCARD).next(
      new sfn.Fail(this, 'Failed', { errorPath: '$.error.Error', causePath: '$.error.Cause' }),
    );
    for (const state of [embed, lookup, generate, commit]) {
      state.addCatch(fail, { errors: [sfn.Errors.ALL], resultPath: '$.error' });
    }
    const isExact = new sfn.Choice(this, 'IsExact')
      .when(sfn.Condition.stringEquals('$.lookup.plan.hit', 'exact'), commit)
      .otherwise(generate.next(commit));
    return embed.next(lookup).next(isExact);
  }

  #invoke(stateName: string, lambdaFunction: lambda.IFunction, resultPath?: string) {
    return new tasks.LambdaInvoke(this, `${stateName}State`, {
      stateName,
      lambdaFunction,
      payloadResponseOnly: true,
      retryOnServiceExceptions: false,
      // A function that hangs is cut off by its own timeout; this is for what never reached it.
      taskTimeout: sfn.Timeout.duration(FUNCTION_TIMEOUT.plus(Duration.seconds(15))),
      ...(resultPath !== undefined && { resultPath }),
    }).addRetry({ errors: TRANSIENT_ERRORS, ...SPREAD_OUT });
  }

  #createFunctions(storage: StorageStack): Functions {
    const { embedder, onnxRuntime } = modelLayers(this);
    const table = { [ENVIRONMENT.tableName]: storage.table.tableName };
    const vectors = { [ENVIRONMENT.vectorIndexArn]: storage.vectorIndex.attrIndexArn };
    const modelPackage = { [ENVIRONMENT.modelDirectory]: MODEL_DIRECTORY };
    const timeout = FUNCTION_TIMEOUT;
    const functions: Functions = {
      embed: new HouseFunction(this, 'Embed', {
        description: 'Marks the job running; vectors of a prompt and its parts',
        folder: 'embed',
        environment: { ...table, ...modelPackage },
        memoryMegabytes: EMBED_MEMORY_MEGABYTES,
        layers: [...embedder, ...onnxRuntime],
        timeout,
      }),
      lookup: new HouseFunction(this, 'Lookup', {
        description: 'Finds and leases donors; plans the generation',
        folder: 'lookup',
        environment: { ...table, ...vectors, ...modelPackage },
        layers: embedder,
        timeout,
      }),
      commit: new HouseFunction(this, 'Commit', {
        description: 'Makes a finished video visible: entry, vectors, job',
        folder: 'commit',
        environment: { ...table, ...vectors, ...modelPackage },
        layers: embedder,
        timeout,
      }),
      fail: new HouseFunction(this, 'Fail', {
        description: 'Ends a job with a reason that its user understands',
        folder: 'fail',
        environment: table,
        timeout,
      }),
    };
    for (const lambdaFunction of Object.values(functions)) {
      storage.allowTable(lambdaFunction, 'dynamodb:GetItem', 'dynamodb:UpdateItem');
    }
    storage.allowTable(functions.lookup, 'dynamodb:BatchGetItem');
    storage.allowQuery(functions.lookup, EXACT_KEY_INDEX, PROMPT_KEY_INDEX);
    storage.allowTable(functions.commit, 'dynamodb:PutItem');
    storage.allowVectors(functions.lookup, 's3vectors:QueryVectors', 's3vectors:GetVectors');
    storage.allowVectors(functions.commit, 's3vectors:PutVectors');
    return functions;
  }

  /** No Catch sees an execution that times out, is stopped, or breaks in the Fail state itself. */
  #failJobsOfEndedExecutions(): void {
    new events.Rule(this, 'EndedExecutions', {
      description: 'Ends the jobs of executions that ended without ending them',
      eventPattern: {
        source: ['aws.states'],
        detailType: ['Step Functions Execution Status Change'],
        detail: {
          status: ['FAILED', 'TIMED_OUT', 'ABORTED'],
          stateMachineArn: [this.stateMachine.stateMachineArn],
        },
      },
      targets: [
        new targets.LambdaFunction(this.functions.fail, {
          event: events.RuleTargetInput.fromObject({
            request: { videoId: events.EventField.fromPath('$.detail.name') },
            error: {
              Error: `Execution.${events.EventField.fromPath('$.detail.status')}`,
              Cause: '',
            },
          }),
        }),
      ],
    });
  }
}
