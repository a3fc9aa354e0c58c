import { describe, expect, it } from 'vitest';
import { explainFailure } from '#functions/fail/explain-failure.ts';
import { createFailHandler } from '#functions/fail/handler.ts';
import { sampleResult } from '../stores/samples.ts';
import { lookupInput, servicesOn, submit, useTable } from './fixture.ts';

function lambdaCause(errorType: string, errorMessage: string): string {
  return JSON.stringify({ errorType, errorMessage, trace: ['at somewhere'] });
}

describe('Fail', () => {
  const table = useTable();

  it('ends the job with the reason and the usage of the steps that ran', async () => {
    // Prepare
    const request = await submit(table());
    const error = { Error: 'internal', Cause: 'out of memory' };

    // Act
    await createFailHandler(servicesOn(table()))({ ...lookupInput(request), error });

    // Assess
    const job = (await table().getJob(request.videoId))!;
    expect(job).toMatchObject({
      status: 'failed',
      error: { code: 'internal', message: 'out of memory' },
    });
    expect(job.usage.map(({ step }) => step)).toEqual(['embed', 'fail']);
  });

  it('says of a cancelled job that it was cancelled', async () => {
    // Prepare
    const request = await submit(table());
    const error = { Error: 'cancelled', Cause: 'the request was cancelled' };

    // Act
    const ended = await createFailHandler(servicesOn(table()))({ request, error });

    // Assess
    expect(ended.status).toBe('cancelled');
    expect((await table().getJob(request.videoId))!.status).toBe('cancelled');
  });

  it('never takes back a completed video', async () => {
    // Prepare
    const request = await submit(table());
    await table().completeJob(request.videoId, sampleResult());
    const error = { Error: 'States.Timeout', Cause: '' };

    // Act
    const ended = await createFailHandler(servicesOn(table()))({ request, error });

    // Assess
    expect(ended.status).toBe('completed');
    expect((await table().getJob(request.videoId))!.status).toBe('completed');
  });

  it('leaves the first reason of a failed job alone', async () => {
    // Prepare
    const request = await submit(table());
    const fail = createFailHandler(servicesOn(table()));
    await fail({ request, error: { Error: 'internal', Cause: 'the first' } });

    // Act
    await fail({ request, error: { Error: 'Execution.FAILED', Cause: '' } });

    // Assess
    expect((await table().getJob(request.videoId))!.error!.message).toBe('the first');
  });
});

describe('explaining a failure', () => {
  it.each([
    ['States.HeartbeatTimeout', '', 'gpu_missing', /no GPU worker took up the request/],
    ['States.Timeout', '', 'workflow_failed', /within its time limit/],
    ['Execution.ABORTED', '', 'cancelled', /was stopped/],
    ['Transient', lambdaCause('Transient', 'throttled: slow: down'), 'throttled', /^slow: down$/],
    [
      'condition_failed',
      lambdaCause('condition_failed', 'condition_failed: it is completed'),
      'condition_failed',
      /^it is completed$/,
    ],
    ['model_corrupt', 'internal: not a code here', 'model_corrupt', /^internal: not a code here$/],
    ['TypeError', lambdaCause('TypeError', 'x is not y'), 'internal', /^TypeError: x is not y$/],
    [
      'Lambda.ServiceException',
      'busy',
      'workflow_failed',
      /a service that the workflow uses failed \(Lambda.ServiceException\): busy/,
    ],
    ['internal', '', 'internal', /no cause was given/],
    ['internal', '{"torn', 'internal', /^\{"torn$/],
  ])('%s with cause %j becomes %s', (name, cause, code, message) => {
    // Act
    const error = explainFailure({ Error: name, Cause: cause });

    // Assess
    expect(error.code).toBe(code);
    expect(error.message).toMatch(message);
  });
});
