import { Duration, Stack, type StackProps } from 'aws-cdk-lib';
import * as events from 'aws-cdk-lib/aws-events';
import * as targets from 'aws-cdk-lib/aws-events-targets';
import * as iam from 'aws-cdk-lib/aws-iam';
import type * as lambda from 'aws-cdk-lib/aws-lambda';
import * as sfn from 'aws-cdk-lib/aws-stepfunctions';
import * as tasks from 'aws-cdk-lib/aws-stepfunctions-tasks';
import type { Construct } from 'constructs';
import type { Pool } from '#core/generation.ts';
import {
  FLEET_LOOK_SECONDS,
  MAX_BACKFILL_SECONDS,
  TASK_TIMEOUTS,
} from '#core/requests/task-timeouts.ts';
import { backfillDefinition } from './backfill-machine.ts';
import type { FleetResources } from './fleet-resources.ts';
import { appLogGroup } from './app-function.ts';
import type { StorageStack } from './storage-stack.ts';
import { createWorkflowFunctions, type WorkflowFunctions } from './workflow-functions.ts';
import { catchAll, invokeState, retryingInvocation } from './workflow-states.ts';

export interface WorkflowStackProps extends StackProps {
  storage: StorageStack;
  fleet: FleetResources;
}

/** Longer than the sum of the timeouts of all states. */
const EXECUTION_TIMEOUT = Duration.seconds(TASK_TIMEOUTS.backfill.totalSeconds).plus(
  Duration.hours(6),
);

/** Interval of the fleet function; bounds the delay of a missed wake-up and the precision of `idleMinutes`. */
const FLEET_INTERVAL = Duration.seconds(FLEET_LOOK_SECONDS);

/**
 * The state machines and their functions. In JSONPath, the only query language of the embedded engine, which
 * runs the same definitions.
 */
export class WorkflowStack extends Stack {
  /** Generates one video. */
  readonly generate: sfn.StateMachine;
  /** Generates the videos of a file. */
  readonly backfill: sfn.StateMachine;
  readonly functions: WorkflowFunctions;

  constructor(scope: Construct, id: string, { storage, fleet, ...props }: WorkflowStackProps) {
    super(scope, id, props);
    this.functions = createWorkflowFunctions(this, storage, fleet);
    this.generate = this.#createMachine('Generate', {
      comment: 'Generates one video: embed the prompt, look up donors, generate, commit.',
      definitionBody: sfn.DefinitionBody.fromChainable(this.#defineGenerate()),
      timeout: EXECUTION_TIMEOUT,
    });
    const { prepare, submit, close } = this.functions;
    this.backfill = this.#createMachine('Backfill', {
      comment: 'Generates the videos of a file of prompts, one execution of generate per video.',
      definitionBody: sfn.DefinitionBody.fromChainable(
        backfillDefinition(this, {
          prepare,
          submit,
          close,
          generate: this.generate,
          generateTimeout: EXECUTION_TIMEOUT.plus(Duration.minutes(5)),
          bucket: storage.latents,
        }),
      ),
      timeout: Duration.seconds(MAX_BACKFILL_SECONDS),
    });
    this.#endWhatEndedExecutionsLeft(storage);
    this.functions.fleet.addToRolePolicy(this.#answerStatement('states:SendTaskFailure'));
    this.#letWorkersAnswer(fleet);
    new events.Rule(this, 'FleetSchedule', {
      description: 'Scales the GPU machines to their queues',
      schedule: events.Schedule.rate(FLEET_INTERVAL),
      targets: [new targets.LambdaFunction(this.functions.fleet)],
    });
  }

  #createMachine(
    id: string,
    props: Pick<sfn.StateMachineProps, 'comment' | 'definitionBody' | 'timeout'>,
  ): sfn.StateMachine {
    return new sfn.StateMachine(this, id, {
      ...props,
      stateMachineType: sfn.StateMachineType.STANDARD,
      tracingEnabled: true,
      logs: {
        destination: appLogGroup(this, `${id}MachineLogs`),
        level: sfn.LogLevel.ERROR,
        // Keeps prompts out of the logs.
        includeExecutionData: false,
      },
    });
  }

  #defineGenerate(): sfn.IChainable {
    const { functions } = this;
    const embed = invokeState(this, {
      stateName: 'Embed',
      lambdaFunction: functions.embed,
      resultPath: '$.embed',
    });
    const lookup = invokeState(this, {
      stateName: 'Lookup',
      lambdaFunction: functions.lookup,
      resultPath: '$.lookup',
    });
    const generate = this.#generateState('Generate', 'interactive');
    const generateInBackfill = this.#generateState('GenerateInBackfill', 'backfill');
    const commit = invokeState(this, { stateName: 'Commit', lambdaFunction: functions.commit });
    const fail = invokeState(this, {
      stateName: 'Fail',
      lambdaFunction: functions.fail,
      resultPath: sfn.JsonPath.DISCARD,
    }).next(
      new sfn.Fail(this, 'Failed', { errorPath: '$.error.Error', causePath: '$.error.Cause' }),
    );
    catchAll([embed, lookup, generate, generateInBackfill, commit], fail);
    const isExact = new sfn.Choice(this, 'IsExact')
      .when(sfn.Condition.stringEquals('$.lookup.plan.hit', 'exact'), commit)
      .when(
        sfn.Condition.stringEquals('$.request.pool', 'backfill' satisfies Pool),
        generateInBackfill.next(commit),
      )
      .otherwise(generate.next(commit));
    return embed.next(lookup).next(isExact);
  }

  /**
   * Creates the state of a pool; there is one per pool because timeouts are part of the definition. The
   * heartbeat timeout never fires first, since it would also count the time in the queue: `fleet` fails requests
   * of pools without workers, and the queue redelivers messages of dead workers. It is set so that Step
   * Functions accepts heartbeats, by which workers learn that a task is gone.
   */
  #generateState(stateName: string, pool: Pool): sfn.TaskStateBase {
    const timeout = Duration.seconds(TASK_TIMEOUTS[pool].totalSeconds);
    return retryingInvocation(
      new tasks.LambdaInvoke(this, `${stateName}State`, {
        stateName,
        comment: 'Queues the request and waits for a GPU worker to return the task token.',
        lambdaFunction: this.functions.dispatch,
        integrationPattern: sfn.IntegrationPattern.WAIT_FOR_TASK_TOKEN,
        payload: sfn.TaskInput.fromObject({
          taskToken: sfn.JsonPath.taskToken,
          request: sfn.JsonPath.objectAt('$.request'),
          plan: sfn.JsonPath.objectAt('$.lookup.plan'),
          embedding: sfn.JsonPath.objectAt('$.embed.embedding'),
        }),
        retryOnServiceExceptions: false,
        taskTimeout: sfn.Timeout.duration(timeout),
        // Must be shorter than the timeout.
        heartbeatTimeout: sfn.Timeout.duration(timeout.minus(Duration.seconds(1))),
        resultPath: '$.generation',
      }),
    );
  }

  /** Handles executions that no Catch sees: timed out, stopped, or failed in their last states. */
  #endWhatEndedExecutionsLeft({ lostEnds }: StorageStack): void {
    const error = {
      Error: `Execution.${events.EventField.fromPath('$.detail.status')}`,
      Cause: '',
    };
    const name = events.EventField.fromPath('$.detail.name');
    const rule = (id: string, machine: sfn.StateMachine, fn: lambda.Function, input: object) =>
      new events.Rule(this, id, {
        description: 'Ends jobs and backfills whose execution ended without doing so',
        eventPattern: {
          source: ['aws.states'],
          detailType: ['Step Functions Execution Status Change'],
          detail: {
            status: ['FAILED', 'TIMED_OUT', 'ABORTED'],
            stateMachineArn: [machine.stateMachineArn],
          },
        },
        targets: [
          withDeadLetters(
            new targets.LambdaFunction(fn, { event: events.RuleTargetInput.fromObject(input) }),
            lostEnds.queueArn,
          ),
        ],
      });
    const { fail, close } = this.functions;
    rule('EndedExecutions', this.generate, fail, { execution: name, error });
    rule('EndedBackfills', this.backfill, close, { backfillId: name, error });
  }

  /** Created here because the workers' stack must not depend on this one. */
  #letWorkersAnswer({ workerRoles }: FleetResources): void {
    if (workerRoles.length === 0) return;
    new iam.Policy(this, 'WorkerAnswers', {
      roles: workerRoles,
      statements: [
        this.#answerStatement(
          'states:SendTaskSuccess',
          'states:SendTaskFailure',
          'states:SendTaskHeartbeat',
        ),
      ],
    });
  }

  #answerStatement(...actions: string[]): iam.PolicyStatement {
    return new iam.PolicyStatement({ actions, resources: [this.generate.stateMachineArn] });
  }
}

/** Sets a dead-letter queue without changing its policy, which its own stack defines. */
function withDeadLetters(target: events.IRuleTarget, queueArn: string): events.IRuleTarget {
  return {
    bind: (rule, id) => ({ ...target.bind(rule, id), deadLetterConfig: { arn: queueArn } }),
  };
}
