/** Min-heap with removal of any item; of equal keys, the one set earlier comes first. */
export class IndexedHeap<Item> {
  readonly #nodes: Node<Item>[] = [];
  readonly #places = new Map<Item, Node<Item>>();
  #turns = 0;

  get size(): number {
    return this.#nodes.length;
  }

  keyOf(item: Item): number | undefined {
    return this.#places.get(item)?.key;
  }

  /** Adds an item, or changes its key. */
  set(item: Item, key: number): void {
    let node = this.#places.get(item);
    if (node === undefined) {
      node = { item, key, turn: this.#turns++, place: this.#nodes.length };
      this.#places.set(item, node);
      this.#nodes.push(node);
    } else {
      node.key = key;
      node.turn = this.#turns++;
    }
    this.#settle(node);
  }

  delete(item: Item): void {
    const node = this.#places.get(item);
    if (node === undefined) return;
    this.#places.delete(item);
    const last = this.#nodes.pop()!;
    if (last === node) return;
    this.#put(last, node.place);
    this.#settle(last);
  }

  /** Returns the item with the smallest key. */
  first(): Item | undefined {
    return this.#nodes[0]?.item;
  }

  #settle(node: Node<Item>): void {
    while (node.place > 0) {
      const parent = this.#nodes[(node.place - 1) >> 1]!;
      if (!isBefore(node, parent)) break;
      const { place } = parent;
      this.#put(parent, node.place);
      this.#put(node, place);
    }
    for (;;) {
      const left = this.#nodes[2 * node.place + 1];
      const right = this.#nodes[2 * node.place + 2];
      if (left === undefined) return;
      const child = right !== undefined && isBefore(right, left) ? right : left;
      if (!isBefore(child, node)) return;
      const { place } = child;
      this.#put(child, node.place);
      this.#put(node, place);
    }
  }

  #put(node: Node<Item>, place: number): void {
    this.#nodes[place] = node;
    node.place = place;
  }
}

interface Node<Item> {
  item: Item;
  key: number;
  turn: number;
  place: number;
}

function isBefore<Item>(one: Node<Item>, other: Node<Item>): boolean {
  return one.key < other.key || (one.key === other.key && one.turn < other.turn);
}
