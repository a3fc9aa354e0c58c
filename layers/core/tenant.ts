/** What one tenant may use. Null is no limit. */
export interface TenantLimits {
  requestsPerMinute: number | null;
  /** Videos queued or running at once. */
  concurrentJobs: number | null;
  /** Pico-dollars a day (UTC), reservations included. */
  budgetPerDay: bigint | null;
}

export interface Tenant extends TenantLimits {
  tenant: string;
  /** `whsec_` and base64, as Standard Webhooks has it; signs what we send to this tenant. */
  webhookSecret: string;
  createdAt: string;
}

/** A key of the API as stored: the key itself is shown once, when it is made. */
export interface ApiKey {
  /** `key_` + 26 characters; names the key without being it. */
  keyId: string;
  tenant: string;
  /** What its owner calls it. */
  name: string;
  /** sha256 of the key, hexadecimal. Keys are 256 random bits: no slow hash is needed. */
  hash: string;
  /** First characters of the key, to recognise it by. */
  prefix: string;
  createdAt: string;
  revokedAt?: string;
}
