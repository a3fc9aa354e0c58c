import { Stack } from 'aws-cdk-lib';
import type { CfnFunction } from 'aws-cdk-lib/aws-lambda';
import { describe, expect, it } from 'vitest';
import { InvalidInputError } from '#core/errors.ts';
import { createApp } from '#infra/create-app.ts';
import { AppFunction } from '#infra/app-function.ts';
import { priceVariables } from '#infra/prices.ts';

const IRELAND = {
  bundle: 'false',
  region: 'eu-west-1',
  interactiveInstanceTypes: 'g5.xlarge',
  backfillInstanceTypes: 'g5.xlarge,g4dn.xlarge',
};

function refusal(context: Record<string, unknown>, deployingRegion?: string): InvalidInputError {
  try {
    createApp({ context, ...(deployingRegion !== undefined && { deployingRegion }) });
  } catch (error) {
    if (error instanceof InvalidInputError) return error;
    throw error;
  }
  throw new Error('the app was created');
}

/** Price variables of every function of ours, by what they are told; templates are not needed for it. */
function variablesOf(context: Record<string, unknown>): Set<string> {
  const { app } = createApp({ context });
  const functions = app.node.findAll().filter((construct) => construct instanceof AppFunction);
  expect(functions.length).toBeGreaterThan(10);
  return new Set(
    functions.map((construct) => {
      const { environment } = construct.node.defaultChild as CfnFunction;
      const { variables } = Stack.of(construct).resolve(environment) as {
        variables: Record<string, string>;
      };
      const { FLEXCACHE_PRICE_REGION: region, FLEXCACHE_PRICE_OVERRIDES: overrides } = variables;
      return `${region ?? '-'} ${overrides ?? '-'}`;
    }),
  );
}

describe('the price region of a deployment', () => {
  it('is its region, in every function', () => {
    expect([...variablesOf(IRELAND)]).toEqual(['eu-west-1 -']);
  });

  it('is another where that is asked for, with what was measured', () => {
    const settings = {
      region: 'ap-south-1',
      priceRegion: 'us-west-2',
      priceOverrides: 'ec2.g6.xlarge.spot=0.31',
    };

    expect(priceVariables(settings)).toEqual({
      FLEXCACHE_PRICE_REGION: 'us-west-2',
      FLEXCACHE_PRICE_OVERRIDES: 'ec2.g6.xlarge.spot=0.31',
    });
  });

  it('is left to the functions while the region is not known', () => {
    expect(priceVariables({ region: null, priceRegion: null, priceOverrides: null })).toEqual({});
  });

  it('is never quietly another: a region without a book fails and says what to give', () => {
    const { field, message, fix } = refusal({ bundle: 'false', region: 'ap-south-1' });

    expect(field).toBe('priceRegion');
    expect(message).toBe('there is no price book of ap-south-1');
    expect(fix).toContain('-c priceRegion=us-east-1');
  });

  it('has a price of every machine that may be started, however it is bought', () => {
    const unoffered = refusal({ bundle: 'false', region: 'eu-west-1' });
    const unpriced = refusal({ ...IRELAND, backfillInstanceTypes: 'g5.xlarge,g5.4xlarge' });

    expect(unoffered.field).toBe('interactiveInstanceTypes');
    expect(unoffered.message).toContain('ec2.g6.xlarge.on-demand in eu-west-1');
    expect(unpriced.field).toBe('backfillInstanceTypes');
    expect(unpriced.fix).toContain('priceOverrides=ec2.g5.4xlarge.spot');
  });

  it('has them where the settings leave the region to those who deploy, too', () => {
    const { field, message } = refusal({ bundle: 'false' }, 'eu-west-1');
    const unknown = refusal({ bundle: 'false', interactiveInstanceTypes: 'g5.24xlarge' });

    expect(field).toBe('interactiveInstanceTypes');
    expect(message).toContain('ec2.g6.xlarge.on-demand in eu-west-1');
    expect(unknown.message).toContain('ec2.g5.24xlarge.on-demand in us-east-1');
  });

  it('takes a machine that the book does not have once its prices are given', () => {
    const context = {
      ...IRELAND,
      backfillInstanceTypes: 'g5.4xlarge',
      priceOverrides: 'ec2.g5.4xlarge.spot=0.75,ec2.g5.4xlarge.on-demand=1.813',
    };

    expect(() => createApp({ context })).not.toThrow();
  });
});
