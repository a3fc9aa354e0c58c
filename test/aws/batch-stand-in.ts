import { once } from 'node:events';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';

interface StoredJob {
  jobId: string;
  jobQueue: string;
  jobDefinition: string;
  status: string;
}

/** As many as one page has; small, so that paging is used. */
const PAGE_JOBS = 1;

/**
 * SubmitJob and ListJobs of AWS Batch: moto's runs each job in a Docker of its own, or ends it at once.
 * Speaks the service's own protocol to the real client.
 */
export class BatchStandIn {
  readonly jobs: StoredJob[] = [];
  /** Answers the next submissions with this error, until it is taken away. */
  failure: { status: number; type: string } | null = null;
  readonly #server = createServer((request, response) => {
    void this.#answer(request).then(({ status, type, body }) => {
      response.writeHead(status, {
        'content-type': 'application/json',
        ...(type !== undefined && { 'x-amzn-errortype': type }),
      });
      response.end(JSON.stringify(body));
    });
  });

  async listen(): Promise<string> {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  close(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }

  async #answer(
    request: IncomingMessage,
  ): Promise<{ status: number; type?: string; body: object }> {
    const pieces: Buffer[] = [];
    for await (const piece of request) pieces.push(piece as Buffer);
    const input = JSON.parse(Buffer.concat(pieces).toString()) as Record<string, string>;
    if (request.url === '/v1/submitjob') {
      if (this.failure !== null) return { ...this.failure, body: { message: 'refused' } };
      const jobId = `job-${this.jobs.length + 1}`;
      const { jobQueue, jobDefinition } = input;
      this.jobs.push({
        jobId,
        jobQueue: jobQueue!,
        jobDefinition: jobDefinition!,
        status: 'SUBMITTED',
      });
      return { status: 200, body: { jobId, jobName: input['jobName'] } };
    }
    const listed = this.jobs.filter(
      ({ jobQueue, status }) => jobQueue === input['jobQueue'] && status === input['jobStatus'],
    );
    const start = Number(input['nextToken'] ?? 0);
    const end = start + PAGE_JOBS;
    return {
      status: 200,
      body: {
        jobSummaryList: listed.slice(start, end).map(({ jobId }) => ({ jobId, jobName: 'any' })),
        ...(end < listed.length && { nextToken: String(end) }),
      },
    };
  }
}
