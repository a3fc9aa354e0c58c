import type { Calibration } from '#core/planning/calibration.ts';
import type { Job } from '#core/generation.ts';
import type { PriceBook } from '#core/pricing/prices.ts';
import type { TenantLimits } from '#core/requests/tenant.ts';
import type { ModelManifest } from '#models/manifest.ts';
import type { BackfillTable } from '#ports/backfills.ts';
import type { DeliveryLog } from '#aws/deliveries.ts';
import type { NotificationQueue } from '#ports/notifications.ts';
import type { ObjectStore } from '#ports/objects.ts';
import type { PaceTable } from '#ports/pace-table.ts';
import type { Table } from '#ports/table.ts';
import type { TenantTable } from '#ports/tenants.ts';
import type { VectorIndex } from '#ports/vector-index.ts';
import type { BackfillStarter, WorkflowStarter } from '#ports/workflow.ts';
import type { Prediction, PredictionQuestion } from '../shared/prediction.ts';
import type { Telemetry } from '../shared/telemetry.ts';
import type { WebhookPolicy } from '../shared/webhooks/webhook-url.ts';

/** What the API works with. Deployed it comes from AWS, embedded from this machine. */
export interface ApiServices {
  table: Pick<
    Table,
    | 'createJob'
    | 'getJob'
    | 'readQueue'
    | 'listJobs'
    | 'resubmitJob'
    | 'failJob'
    | 'requestCancel'
    | 'deleteJob'
    | 'findExact'
    | 'getEntry'
    | 'moveEntry'
    | 'deleteEntry'
  >;
  tenants: Pick<
    TenantTable,
    | 'findApiKey'
    | 'getTenant'
    | 'countRequest'
    | 'takePlace'
    | 'freePlace'
    | 'listPlaces'
    | 'reserve'
    | 'release'
    | 'getSpending'
  >;
  backfills: Pick<
    BackfillTable,
    | 'createBackfill'
    | 'getBackfill'
    | 'listBackfills'
    | 'updateBackfill'
    | 'requestBackfillCancel'
    | 'listLines'
  >;
  /** Where it is written down that an announcement is to be sent again, and who sends it. */
  deliveries: DeliveryLog;
  notifications: NotificationQueue;
  objects: Pick<ObjectStore, 'put' | 'head' | 'presign'>;
  vectors: Pick<VectorIndex, 'delete'>;
  workflow: WorkflowStarter;
  backfillStarter: BackfillStarter;
  predictor: Predictor;
  /** Gives back what an ended job held; idempotent. */
  endJob(job: Job): Promise<void>;
  manifest: ModelManifest;
  /** sha256 over the files of the package. */
  modelRevision: string;
  compatibilityKey: string;
  /** What hits there can be. */
  calibration: Calibration;
  prices: PriceBook;
  pace: Pick<PaceTable, 'secondsPerVideo'>;
  /** The most that there may be for videos that somebody waits for. */
  interactiveWorkers: number;
  /** Days until a finished video is deleted; null where videos are kept. */
  videosExpireAfterDays: number | null;
  /** Of tenants that were given none of their own. */
  defaultLimits: TenantLimits;
  /** Which addresses may be told. */
  webhookPolicy: WebhookPolicy;
  /** Origins whose pages may call it from a browser; none, or `*` for all. */
  corsOrigins: readonly string[];
  /** What was taken in, and faults that callers are told nothing of. */
  telemetry: Pick<Telemetry, 'log'>;
}

/** What a backfill would come to. `LambdaPredictor`, and embedded the function itself. */
export interface Predictor {
  /** @throws ApiError or InvalidInputError when the file cannot be read. */
  predict(question: PredictionQuestion): Promise<Prediction>;
}
