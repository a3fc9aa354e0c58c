/** A page of a listing in the dialect's shape. */
export function pageObject<Item extends { id: string }>(
  data: Item[],
  hasMore: boolean,
): {
  object: 'list';
  data: Item[];
  first_id: string | null;
  last_id: string | null;
  has_more: boolean;
} {
  return {
    object: 'list',
    data,
    first_id: data[0]?.id ?? null,
    last_id: data.at(-1)?.id ?? null,
    has_more: hasMore,
  };
}
