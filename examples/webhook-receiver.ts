/** Receives webhooks on http://127.0.0.1:9000 and prints those whose signature is right. */
import { createServer } from 'node:http';
import { text } from 'node:stream/consumers';
import { Webhook, WebhookVerificationError } from 'standardwebhooks';

/** `flexcache tenants show local --secret` prints it. */
const secret = process.env['FLEXCACHE_WEBHOOK_SECRET'];
if (secret === undefined) throw new Error('FLEXCACHE_WEBHOOK_SECRET is not set');
const webhook = new Webhook(secret);

interface Announcement {
  type: string;
  data: { id: string };
}

const server = createServer(async (request, response) => {
  // The signature is of the bytes that arrived.
  const body = await text(request);
  try {
    const { type, data } = webhook.verify(
      body,
      request.headers as Record<string, string>,
    ) as Announcement;
    console.log(`${type} ${data.id}`);
    response.writeHead(204).end();
  } catch (error) {
    if (!(error instanceof WebhookVerificationError)) throw error;
    response.writeHead(401).end(error.message);
  }
});
server.listen(Number(process.env['PORT'] ?? 9000), '127.0.0.1', () => {
  console.log(`receiving webhooks on port ${(server.address() as { port: number }).port}`);
});
