import { Duration } from 'aws-cdk-lib';
import * as iam from 'aws-cdk-lib/aws-iam';
import type * as lambda from 'aws-cdk-lib/aws-lambda';
import type * as s3 from 'aws-cdk-lib/aws-s3';
import * as sfn from 'aws-cdk-lib/aws-stepfunctions';
import * as tasks from 'aws-cdk-lib/aws-stepfunctions-tasks';
import type { Construct } from 'constructs';
import { catchAll, invokeState, PATIENT } from './workflow-states.ts';

export interface BackfillDefinitionProps {
  prepare: lambda.Function;
  submit: lambda.Function;
  close: lambda.Function;
  /** Generates the video of one line. */
  generate: sfn.IStateMachine;
  /** Timeout of one video. */
  generateTimeout: Duration;
  /** Bucket of requests and results. */
  bucket: s3.Bucket;
}

/** Prefix of requests and results. */
const PREFIX = 'backfills/';

/** Transient errors of starting an execution. */
const START_ERRORS = [
  'StepFunctions.ExecutionLimitExceededException',
  'StepFunctions.SdkClientException',
  'StepFunctions.AWSStepFunctionsException',
];

/** Defines the `backfill` state machine: a distributed map over a file, one `generate` execution per video. */
export function backfillDefinition(
  scope: Construct,
  props: BackfillDefinitionProps,
): sfn.IChainable {
  const prepare = invokeState(scope, {
    stateName: 'Prepare',
    lambdaFunction: props.prepare,
    resultPath: '$.prepared',
  });
  const lines = linesMap(scope, props);
  const close = invokeState(scope, { stateName: 'Close', lambdaFunction: props.close });
  const closeFailed = invokeState(scope, {
    stateName: 'CloseFailed',
    lambdaFunction: props.close,
    resultPath: sfn.JsonPath.DISCARD,
  }).next(
    new sfn.Fail(scope, 'BackfillFailed', {
      errorPath: '$.error.Error',
      causePath: '$.error.Cause',
    }),
  );
  catchAll([prepare, lines, close], closeFailed);
  const hasLines = new sfn.Choice(scope, 'HasLines')
    .when(sfn.Condition.numberGreaterThan('$.prepared.lines', 0), lines.next(close))
    .otherwise(close);
  return prepare.next(hasLines);
}

function linesMap(scope: Construct, props: BackfillDefinitionProps): sfn.DistributedMap {
  // The two declarations of its optional properties differ under exactOptionalPropertyTypes.
  const bucket = props.bucket as s3.IBucket;
  return new sfn.DistributedMap(scope, 'Lines', {
    label: 'Lines',
    mapExecutionType: sfn.StateMachineType.STANDARD,
    itemReader: new RequestsReader({
      bucket,
      key: sfn.JsonPath.stringAt('$.prepared.requestsKey'),
    }),
    itemSelector: {
      backfillId: sfn.JsonPath.stringAt('$.backfillId'),
      item: sfn.JsonPath.objectAt('$$.Map.Item.Value'),
    },
    maxConcurrencyPath: '$.prepared.concurrency',
    toleratedFailurePercentagePath: '$.prepared.toleratedFailurePercentage',
    resultWriterV2: new ResultsWriter({
      bucket,
      prefix: sfn.JsonPath.stringAt('$.prepared.resultsPrefix'),
    }),
    resultPath: '$.map',
  }).itemProcessor(lineDefinition(scope, props));
}

/** Defines the processing of one line: create a job, then run its execution unless the video exists. */
function lineDefinition(
  scope: Construct,
  { submit, generate, generateTimeout }: BackfillDefinitionProps,
): sfn.IChainable {
  const run = new tasks.StepFunctionsStartExecution(scope, 'Run', {
    comment: 'Starts the execution and waits for it; joins one that already runs under this name.',
    stateMachine: generate,
    integrationPattern: sfn.IntegrationPattern.RUN_JOB,
    name: sfn.JsonPath.stringAt('$.submitted.executionName'),
    input: sfn.TaskInput.fromObject({ request: sfn.JsonPath.objectAt('$.submitted.request') }),
    taskTimeout: sfn.Timeout.duration(generateTimeout),
    resultSelector: { videoId: sfn.JsonPath.stringAt('$.Output.videoId') },
  })
    .addRetry({ errors: START_ERRORS, ...PATIENT })
    .addCatch(explainedFailure(scope), { errors: [sfn.Errors.ALL], resultPath: '$.error' });
  const isDone = new sfn.Choice(scope, 'IsDone')
    .when(
      sfn.Condition.booleanEquals('$.submitted.done', true),
      new sfn.Pass(scope, 'AlreadyThere', {
        parameters: { videoId: sfn.JsonPath.stringAt('$.submitted.videoId') },
      }),
    )
    .otherwise(run);
  return invokeState(scope, {
    stateName: 'Submit',
    lambdaFunction: submit,
    resultPath: '$.submitted',
  }).next(isDone);
}

/** Fails with the error of the video, which is inside the cause of a failed execution. */
function explainedFailure(scope: Construct): sfn.IChainable {
  const asItIs = new sfn.Fail(scope, 'LineStopped', {
    errorPath: '$.error.Error',
    causePath: '$.error.Cause',
  });
  const explained = new sfn.Fail(scope, 'LineFailed', {
    errorPath: '$.execution.Error',
    causePath: '$.execution.Cause',
  });
  const hasReason = new sfn.Choice(scope, 'HasReason')
    .when(
      sfn.Condition.and(
        sfn.Condition.isPresent('$.execution.Error'),
        sfn.Condition.isPresent('$.execution.Cause'),
      ),
      explained,
    )
    .otherwise(asItIs);
  const parse = new sfn.Pass(scope, 'ReadCause', {
    parameters: {
      error: sfn.JsonPath.objectAt('$.error'),
      execution: sfn.JsonPath.stringToJson(sfn.JsonPath.stringAt('$.error.Cause')),
    },
  }).next(hasReason);
  return new sfn.Choice(scope, 'IsItsExecution')
    .when(sfn.Condition.stringEquals('$.error.Error', 'States.TaskFailed'), parse)
    .otherwise(asItIs);
}

/** Item reader with access to one prefix; its base class gets the whole bucket. */
class RequestsReader extends sfn.S3JsonLItemReader {
  override providePolicyStatements(): iam.PolicyStatement[] {
    return [statementOn(this.bucket!, 's3:GetObject')];
  }
}

/** Result writer with access to one prefix; its base class gets the whole bucket. */
class ResultsWriter extends sfn.ResultWriterV2 {
  override providePolicyStatements(): iam.PolicyStatement[] {
    return [
      statementOn(
        this.bucket!,
        's3:PutObject',
        's3:GetObject',
        's3:ListMultipartUploadParts',
        's3:AbortMultipartUpload',
      ),
    ];
  }
}

function statementOn(bucket: s3.IBucket, ...actions: string[]): iam.PolicyStatement {
  return new iam.PolicyStatement({ actions, resources: [bucket.arnForObjects(`${PREFIX}*`)] });
}
