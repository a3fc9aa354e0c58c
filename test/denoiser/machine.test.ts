import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { findMachine } from '#denoiser/machine.ts';

const TOKEN = 'token-of-the-session';

describe('findMachine', () => {
  let server: Server;
  let metadataEndpoint: string;
  let answers: Record<string, string>;
  let asked: string[];

  /** The instance metadata service, version 2: nothing is answered without a token. */
  beforeEach(async () => {
    asked = [];
    answers = { 'instance-type': 'g6e.xlarge', 'instance-life-cycle': 'spot' };
    server = createServer((request, response) => {
      asked.push(`${request.method} ${request.url}`);
      if (request.method === 'PUT' && request.url === '/latest/api/token') {
        const hasLifetime = request.headers['x-aws-ec2-metadata-token-ttl-seconds'] !== undefined;
        response.writeHead(hasLifetime ? 200 : 400).end(hasLifetime ? TOKEN : '');
        return;
      }
      const answer = answers[request.url!.replace('/latest/meta-data/', '')];
      const isAllowed = request.headers['x-aws-ec2-metadata-token'] === TOKEN;
      response.writeHead(isAllowed ? (answer === undefined ? 404 : 200) : 401).end(answer);
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    metadataEndpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });

  afterEach(() => {
    server.closeAllConnections();
    server.close();
  });

  it('asks the metadata service of the instance', async () => {
    const machine = await findMachine({
      instanceType: null,
      purchaseOption: null,
      metadataEndpoint,
    });

    expect(machine).toEqual({ instanceType: 'g6e.xlarge', purchaseOption: 'spot' });
  });

  it.each(['on-demand', 'scheduled', 'capacity-block'])(
    'pays for %s by the hour',
    async (cycle) => {
      answers['instance-life-cycle'] = cycle;

      expect(
        await findMachine({ instanceType: null, purchaseOption: null, metadataEndpoint }),
      ).toMatchObject({ purchaseOption: 'on-demand' });
    },
  );

  it('asks for what the environment does not say, and nothing else', async () => {
    const machine = await findMachine({
      instanceType: 'g5.xlarge',
      purchaseOption: null,
      metadataEndpoint,
    });

    expect(machine).toEqual({ instanceType: 'g5.xlarge', purchaseOption: 'spot' });
    expect(asked).toEqual(['PUT /latest/api/token', 'GET /latest/meta-data/instance-life-cycle']);
  });

  it('asks nothing when the environment says all', async () => {
    await findMachine({ instanceType: 'g5.xlarge', purchaseOption: 'on-demand', metadataEndpoint });

    expect(asked).toEqual([]);
  });

  it('names the variable and the way out when neither says', async () => {
    delete answers['instance-type'];

    await expect(
      findMachine({ instanceType: null, purchaseOption: 'spot', metadataEndpoint }),
    ).rejects.toMatchObject({
      code: 'invalid_input',
      field: 'FLEXCACHE_INSTANCE_TYPE',
      message: expect.stringContaining('/latest/meta-data/instance-type was answered 404'),
      fix: expect.stringContaining('set FLEXCACHE_INSTANCE_TYPE and FLEXCACHE_PURCHASE_OPTION'),
    });
  });

  it('says so when there is no metadata service', async () => {
    const nowhere = 'http://127.0.0.1:1';

    await expect(
      findMachine({ instanceType: 'g5.xlarge', purchaseOption: null, metadataEndpoint: nowhere }),
    ).rejects.toMatchObject({
      field: 'FLEXCACHE_PURCHASE_OPTION',
      message: expect.stringContaining(nowhere),
    });
  });
});
