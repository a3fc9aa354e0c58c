import { SpanStatusCode, trace } from '@opentelemetry/api';
import { FlexCacheError } from '#core/errors.ts';
import type { MetricDimensions, MetricName } from '#core/metric-names.ts';

/** Something worth knowing afterwards. Ids belong here, prompts do not. */
export interface TelemetryEvent {
  level: 'info' | 'warn' | 'error';
  /** What happened, in snake case. */
  event: string;
  videoId?: string;
  error?: unknown;
  [detail: string]: unknown;
}

/** Logs and metrics of the functions. */
export interface Telemetry {
  log(event: TelemetryEvent): void;
  /** Amounts in the units of `METRICS`, all with the same dimensions. */
  measure(amounts: Partial<Record<MetricName, number>>, dimensions: MetricDimensions): void;
}

/** Says nothing: embedded, the caller shows what happens itself. */
export const SILENT_TELEMETRY: Telemetry = { log: () => {}, measure: () => {} };

/** Name of the tracer, and prefix of the spans' attributes. */
const TRACER = 'flexcache';

/**
 * The handler with a span around each call, named like it and carrying the video's id. Without an
 * OpenTelemetry SDK in the process it costs nothing.
 *
 * @example
 * export const handler = traced('commit', createCommitHandler(services));
 */
export function traced<Input, Output>(
  name: string,
  handle: (input: Input) => Promise<Output>,
): (input: Input) => Promise<Output> {
  return (input) =>
    trace.getTracer(TRACER).startActiveSpan(name, async (span) => {
      const videoId = videoIdOf(input);
      if (videoId !== undefined) span.setAttribute(`${TRACER}.video_id`, videoId);
      try {
        return await handle(input);
      } catch (error) {
        span.recordException(error instanceof Error ? error : String(error));
        span.setStatus({ code: SpanStatusCode.ERROR });
        throw error;
      } finally {
        span.end();
      }
    });
}

/** The handler with a span and one line of log about each call. */
export function observed<Input, Output>(
  name: string,
  telemetry: Telemetry,
  handle: (input: Input) => Promise<Output>,
): (input: Input) => Promise<Output> {
  return traced(name, async (input) => {
    const start = performance.now();
    const about = (): Pick<TelemetryEvent, 'videoId'> & { seconds: number } => {
      const videoId = videoIdOf(input);
      const seconds = Math.round(performance.now() - start) / 1000;
      return { seconds, ...(videoId !== undefined && { videoId }) };
    };
    try {
      const output = await handle(input);
      telemetry.log({ level: 'info', event: `${name}_done`, ...about() });
      return output;
    } catch (error) {
      telemetry.log({ level: levelOf(error), event: `${name}_failed`, error, ...about() });
      throw error;
    }
  });
}

/** A user's mistake or wish is no fault of the function. */
function levelOf(error: unknown): TelemetryEvent['level'] {
  const cause = error instanceof Error && error.cause !== undefined ? error.cause : error;
  if (!(cause instanceof FlexCacheError)) return 'error';
  if (cause.code === 'cancelled') return 'info';
  return cause.transient ? 'warn' : 'error';
}

/** Inputs of the workflow's functions carry their request. */
function videoIdOf(input: unknown): string | undefined {
  const { request, execution } = (input ?? {}) as {
    request?: { videoId?: unknown };
    execution?: unknown;
  };
  const id = request?.videoId ?? execution;
  return typeof id === 'string' ? id : undefined;
}
