import { meterUse, type StoreUsage } from './usage-meter.ts';

/** Counts what reading a body of this class costs beside its request. */
export function meterObjectRead(bytes: number, storageClass: string | null | undefined): void {
  meterUse({ objectBytesRead: bytes, ...retrieval(bytes, storageClass) });
}

function retrieval(bytes: number, storageClass: string | null | undefined): StoreUsage {
  if (storageClass === 'STANDARD_IA') {
    return { infrequentAccessGets: 1, infrequentAccessBytes: bytes };
  }
  if (storageClass === 'GLACIER_IR') {
    return { instantRetrievalGets: 1, instantRetrievalBytes: bytes };
  }
  return {};
}
