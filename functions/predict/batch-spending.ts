import type { Reservation, TenantTable } from '#ports/tenants.ts';

type Spending = Pick<TenantTable, 'getSpending'>;

/** A tenant's money as a batch would reserve and spend it, beside what is spent. Nothing is written. */
export class BatchSpending implements Pick<TenantTable, 'reserve' | 'getSpending'> {
  readonly #tenants: Spending;
  /** Pico-dollars by tenant and day. */
  readonly #spent = new Map<string, bigint>();

  constructor(tenants: Spending) {
    this.#tenants = tenants;
  }

  async reserve({ tenant, day, amount }: Reservation, limit: bigint | null): Promise<boolean> {
    const spent = await this.getSpending(tenant, day);
    if (limit !== null && spent + amount > limit) return false;
    this.#spent.set(nameOf(tenant, day), spent + amount);
    return true;
  }

  async getSpending(tenant: string, day: string): Promise<bigint> {
    const name = nameOf(tenant, day);
    const known = this.#spent.get(name) ?? (await this.#tenants.getSpending(tenant, day));
    this.#spent.set(name, known);
    return known;
  }

  /** What was reserved is replaced by what is spent, pico-dollars. */
  settle({ tenant, day, amount }: Reservation, spent: bigint): void {
    const name = nameOf(tenant, day);
    this.#spent.set(name, this.#spent.get(name)! - amount + spent);
  }
}

function nameOf(tenant: string, day: string): string {
  return `${tenant} ${day}`;
}
