import type { TraceHeader, TraceRequest } from '#simulation/traces/trace-request.ts';

/** Formats a trace file: the header, then one request per line. */
export function traceText(header: TraceHeader, requests: readonly TraceRequest[]): string {
  const lines = requests.map(({ time, tenant, prompt, seed }) =>
    JSON.stringify({
      time: new Date(time * 1000).toISOString(),
      tenant,
      prompt,
      ...(seed === null ? {} : { seed }),
    }),
  );
  return `${[JSON.stringify(header), ...lines].join('\n')}\n`;
}
