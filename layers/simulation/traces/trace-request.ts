/** Unit vectors of a prompt and its parts, all of the same length. */
export interface TraceVectors {
  whole: Float32Array;
  object: Float32Array | null;
  background: Float32Array | null;
}

/** One request of a trace. */
export interface TraceRequest {
  /** Epoch seconds, never decreasing. */
  time: number;
  tenant: string;
  prompt: string;
  /** Null if the trace has none: then the request never repeats another one exactly. */
  seed: number | null;
  /** Null if the trace has none. */
  vectors: TraceVectors | null;
}

/** First line of a trace. Everything but the format is optional. */
export interface TraceHeader {
  format: typeof TRACE_FORMAT;
  /** Whether the requests are synthetic rather than sent by real users. */
  synthetic?: boolean;
  /** One-sentence description, including what is assumed. */
  about?: string;
  parameters?: Record<string, unknown>;
}

export const TRACE_FORMAT = 'flexcache-trace/1';

/** Tenant of lines without one. */
export const TRACE_TENANT = 'default';
