import type { DynamoItems } from './dynamo-items.ts';
import { OWNER_INDEX } from './table-definition.ts';
import type { Attributes } from './table-items.ts';
import type { Page } from '#ports/table.ts';

export interface PageRequest {
  /** Value of the owner index; see `ownerKey`. */
  owner: string;
  limit: number;
  order?: 'asc' | 'desc';
  /** Begin behind the item with this sort key of the index; see `ownerSortKey`. */
  after: string | undefined;
  /** Whether an item counts; all do unless said. */
  isListed?: (item: Attributes) => boolean;
}

/** One page of what somebody owns. One item more than asked is read, to tell whether more follow. */
export async function listPage(
  items: DynamoItems,
  doing: string,
  { owner, limit, order = 'desc', after, isListed = () => true }: PageRequest,
): Promise<Page<Attributes>> {
  if (limit < 1) return { items: [], hasMore: false };
  const found: Attributes[] = [];
  const query = {
    index: OWNER_INDEX,
    key: owner,
    limit: limit + 1,
    isAscending: order === 'asc',
    ...(after !== undefined && { after }),
  };
  for await (const page of items.query(query, doing)) {
    found.push(...page.filter(isListed));
    if (found.length > limit) break;
  }
  return { items: found.slice(0, limit), hasMore: found.length > limit };
}
