import { FlexCacheError } from '#core/errors.ts';
import type { WebhookDelivery } from '#core/requests/webhook-delivery.ts';
import { backfillItemKey } from './backfill-items.ts';
import { DynamoItems, type DynamoItemsOptions } from './dynamo-items.ts';
import type { Notification } from '#ports/notifications.ts';
import { jobItemKey } from './table-items.ts';

/** Writes down what became of announcements. `DynamoDeliveryLog` is the implementation. */
export interface DeliveryLog {
  /** Beside the video or the backfill, whatever stood there. @throws FlexCacheError `not_found` */
  record(notification: Notification, delivery: WebhookDelivery): Promise<void>;
}

/**
 * The attribute `webhookDelivery` of a job's or a backfill's item: one UpdateItem, 1 write unit per KB.
 *
 * @example
 * await deliveries.record({ kind: 'video', id: videoId }, { eventId, attempts: 1, deliveredAt });
 */
export class DynamoDeliveryLog implements DeliveryLog {
  readonly #items: DynamoItems;

  constructor(options: DynamoItemsOptions) {
    this.#items = new DynamoItems(options);
  }

  async record({ kind, id }: Notification, delivery: WebhookDelivery): Promise<void> {
    const recorded = await this.#items.update(
      kind === 'video' ? jobItemKey(id) : backfillItemKey(id),
      `record the announcement of ${id}`,
      {
        update: 'SET #webhookDelivery = :delivery',
        condition: 'attribute_exists(#pk)',
        values: { ':delivery': delivery },
      },
    );
    if (!recorded) throw new FlexCacheError('not_found', `there is no ${kind} ${id}`);
  }
}
