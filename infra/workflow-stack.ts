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

/** Longer than all of its states may take, one after the other. */
const EXECUTION_TIMEOUT = Duration.seconds(TASK_TIMEOUTS.backfill.totalSeconds).plus(
  Duration.hours(6),
);

/** How soon a message that woke nobody is found, and how exactly the idle minutes are kept. */
const FLEET_INTERVAL = Duration.seconds(FLEET_LOOK_SECONDS);

/**
 * The state machines and their functions. In JSONPath, because the embedded engine runs these very
 * definitions and knows no other language.
 */
export class WorkflowStack extends Stack {
  /** Makes one video. */
  readonly generate: sfn.StateMachine;
  /** Makes the videos of a file. */
  readonly backfill: sfn.StateMachine;
  readonly functions: WorkflowFunctions;

  constructor(scope: Construct, id: string, { storage, fleet, ...props }: WorkflowStackProps) {
    super(scope, id, props);
    this.functions = createWorkflowFunctions(this, storage, fleet);
    this.generate = this.#createMachine('Generate', {
      comment: 'Makes one video: embeds the prompt, looks for donors, generates, commits.',
      definitionBody: sfn.DefinitionBody.fromChainable(this.#defineGenerate()),
      timeout: EXECUTION_TIMEOUT,
    });
    const { prepare, submit, close } = this.functions;
    this.backfill = this.#createMachine('Backfill', {
      comment: 'Makes the videos of a file of prompts, an execution of generate for each line.',
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
      description: 'Brings the GPU machines in line with their queues',
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
        // Prompts stay out of the logs.
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
   * One state for each pool: a state's patience is part of the definition. Its heartbeat decides
   * nothing, since the clock would run while a message waits its turn: `fleet` gives up what nobody
   * takes, the queue hands out again what a dead worker had. It is there so that the heartbeats by
   * which workers learn that nobody waits for them any more are taken.
   */
  #generateState(stateName: string, pool: Pool): sfn.TaskStateBase {
    const timeout = Duration.seconds(TASK_TIMEOUTS[pool].totalSeconds);
    return retryingInvocation(
      new tasks.LambdaInvoke(this, `${stateName}State`, {
        stateName,
        comment: 'Queues the request and waits until a GPU worker answers the token.',
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
        // It has to be shorter than the timeout.
        heartbeatTimeout: sfn.Timeout.duration(timeout.minus(Duration.seconds(1))),
        resultPath: '$.generation',
      }),
    );
  }

  /** No Catch sees an execution that times out, is stopped, or breaks in its last states. */
  #endWhatEndedExecutionsLeft({ lostEnds }: StorageStack): void {
    const error = {
      Error: `Execution.${events.EventField.fromPath('$.detail.status')}`,
      Cause: '',
    };
    const name = events.EventField.fromPath('$.detail.name');
    const rule = (id: string, machine: sfn.StateMachine, fn: lambda.Function, input: object) =>
      new events.Rule(this, id, {
        description: 'Ends what executions stood for that ended without ending it',
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

  /** Here and not beside the workers: their stack must not need this one. */
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

/** The queue's own stack lets EventBridge send to it: the target would change the policy from here. */
function withDeadLetters(target: events.IRuleTarget, queueArn: string): events.IRuleTarget {
  return {
    bind: (rule, id) => ({ ...target.bind(rule, id), deadLetterConfig: { arn: queueArn } }),
  };
}
