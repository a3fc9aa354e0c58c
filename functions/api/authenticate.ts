import { hashApiKey, isApiKey } from '#core/requests/api-key.ts';
import { limitsOf, type TenantLimits } from '#core/requests/tenant.ts';
import { ApiError } from './api-error.ts';
import type { ApiServices } from './services.ts';

/** Who sent a request, and what they may use. */
export interface Caller {
  tenant: string;
  limits: TenantLimits;
}

const BEARER = /^Bearer +(\S+) *$/i;

/**
 * Whose key a request carries. A missing, a malformed, an unknown and a revoked key are refused in
 * the same words.
 *
 * @throws ApiError 401
 */
export async function authenticate(
  { tenants, defaultLimits }: Pick<ApiServices, 'tenants' | 'defaultLimits'>,
  authorization: string | null,
): Promise<Caller> {
  const [, key = ''] = BEARER.exec(authorization ?? '') ?? [];
  const apiKey = isApiKey(key) ? await tenants.findApiKey(hashApiKey(key)) : null;
  const tenant = apiKey && (await tenants.getTenant(apiKey.tenant));
  if (tenant !== null) return { tenant: tenant.tenant, limits: limitsOf(tenant, defaultLimits) };
  throw new ApiError(
    401,
    'invalid_api_key',
    'this needs a valid API key: send the header "Authorization: Bearer <key>"',
    { headers: { 'www-authenticate': 'Bearer' } },
  );
}
