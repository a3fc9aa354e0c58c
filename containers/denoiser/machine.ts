import { FlexCacheError } from '#core/errors.ts';
import type { UsageRecord } from '#core/generation.ts';
import type { DenoiserEnvironment } from './environment.ts';
import { DENOISER_VARIABLES } from './variables.ts';

/** Where a worker runs, for the bill. */
export type Machine = Required<Pick<UsageRecord, 'instanceType' | 'purchaseOption'>>;

/** The service answers within milliseconds, or it is not there. */
const TIMEOUT_MILLISECONDS = 2000;
const TOKEN_SECONDS = 60;

/**
 * The machine that the environment names; what it does not name is asked of the instance metadata
 * service (version 2).
 *
 * @throws FlexCacheError `invalid_input` when neither says.
 */
export async function findMachine({
  instanceType,
  purchaseOption,
  metadataEndpoint,
}: Pick<
  DenoiserEnvironment,
  'instanceType' | 'purchaseOption' | 'metadataEndpoint'
>): Promise<Machine> {
  if (instanceType !== null && purchaseOption !== null) return { instanceType, purchaseOption };
  const { instanceType: typeName, purchaseOption: optionName } = DENOISER_VARIABLES;
  try {
    const read = await openMetadata(metadataEndpoint);
    return {
      instanceType: instanceType ?? (await read('instance-type')),
      purchaseOption: purchaseOption ?? purchaseOptionOf(await read('instance-life-cycle')),
    };
  } catch (cause) {
    const name = instanceType === null ? typeName : optionName;
    const message = cause instanceof Error ? cause.message : String(cause);
    throw new FlexCacheError(
      'invalid_input',
      `environment variable ${name} is not set, and the instance metadata service at ${metadataEndpoint} does not say: ${message}`,
      {
        field: name,
        fix: `set ${typeName} and ${optionName}, or let the container reach the service (a hop limit of 2 on a bridge network)`,
        cause,
      },
    );
  }
}

async function openMetadata(endpoint: string): Promise<(name: string) => Promise<string>> {
  const token = await ask(new URL('/latest/api/token', endpoint), {
    method: 'PUT',
    headers: { 'x-aws-ec2-metadata-token-ttl-seconds': String(TOKEN_SECONDS) },
  });
  return (name) =>
    ask(new URL(`/latest/meta-data/${name}`, endpoint), {
      headers: { 'x-aws-ec2-metadata-token': token },
    });
}

async function ask(url: URL, init: RequestInit): Promise<string> {
  const answer = await fetch(url, { ...init, signal: AbortSignal.timeout(TIMEOUT_MILLISECONDS) });
  const text = (await answer.text()).trim();
  if (!answer.ok || text === '') throw new Error(`${url.pathname} was answered ${answer.status}`);
  return text;
}

/** `on-demand`, `spot`, `scheduled` or `capacity-block`; what is not Spot is paid by the hour. */
function purchaseOptionOf(lifeCycle: string): Machine['purchaseOption'] {
  return lifeCycle === 'spot' ? 'spot' : 'on-demand';
}
