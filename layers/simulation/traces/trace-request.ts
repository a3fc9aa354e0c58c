/** Unit vectors of a prompt and of the parts that it names, all of one length. */
export interface TraceVectors {
  whole: Float32Array;
  object: Float32Array | null;
  background: Float32Array | null;
}

/** One request of a trace. */
export interface TraceRequest {
  /** Epoch seconds. Never smaller than that of the request before. */
  time: number;
  tenant: string;
  prompt: string;
  /** Null when the trace does not say: a video of its own, never an exact answer to another one. */
  seed: number | null;
  /** Null when the trace brings none. */
  vectors: TraceVectors | null;
}

/** What the first line of a trace may say of it. Everything but the format is free. */
export interface TraceHeader {
  format: typeof TRACE_FORMAT;
  /** Whether people sent these requests at these times: what is made up or assumed says so. */
  synthetic?: boolean;
  /** In a sentence: what this is and what of it is assumed. */
  about?: string;
  parameters?: Record<string, unknown>;
}

export const TRACE_FORMAT = 'flexcache-trace/1';

/** The tenant of lines that name none. */
export const TRACE_TENANT = 'default';
