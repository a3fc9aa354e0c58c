import type { TraceHeader, TraceRequest } from '#simulation/traces/trace-request.ts';

/** A trace as its file holds it: the header, then one request a line. */
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
