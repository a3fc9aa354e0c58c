import { BACKFILL_ENDPOINTS } from './backfills.ts';
import type { Endpoint } from './endpoint.ts';
import { SERVICE_ENDPOINTS } from './service-endpoints.ts';
import { VIDEO_ENDPOINTS } from './videos.ts';

/** The whole API: what is served, checked and documented. */
export const ENDPOINTS: readonly Endpoint[] = [
  ...VIDEO_ENDPOINTS,
  ...BACKFILL_ENDPOINTS,
  ...SERVICE_ENDPOINTS,
];
