import { execFile } from 'node:child_process';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { EmbedOutput } from '#functions/states.ts';
import { bundleHandler } from '#infra/house-function.ts';
import { REPOSITORY_ROOT } from '#infra/repository-root.ts';
import { startTableServer } from '#local/table-server.ts';
import { DEMO_PACKAGE } from '../models/package-fixture.ts';
import { sampleJob, sampleRequest } from '../stores/samples.ts';

const PRINT_OUTPUT =
  'require(process.argv[1]).handler(JSON.parse(process.argv[2])).then((output) => console.log(JSON.stringify(output)));';

const PRINT_ERROR =
  "require(process.argv[1]).handler({ request: { videoId: 'x' } }).catch((error) => console.log(error.message));";

/** Lambda finds the modules of layers by the same variable. */
const LAYER_MODULES = { NODE_PATH: join(REPOSITORY_ROOT, 'node_modules') };

describe('a bundled function', () => {
  it.each([
    ['embed', 'FLEXCACHE_MODEL_DIRECTORY'],
    ['lookup', 'FLEXCACHE_TABLE'],
    ['commit', 'FLEXCACHE_TABLE'],
    ['fail', 'FLEXCACHE_TABLE'],
  ])(
    '%s loads with the modules of its layers and says which setting it lacks',
    async (folder, setting) => {
      // Prepare
      const bundle = bundleHandler(folder);
      onTestFinished(() => rmSync(bundle, { recursive: true }));

      // Act
      const { stdout } = await promisify(execFile)(
        process.execPath,
        ['--eval', PRINT_ERROR, join(bundle, 'index.js')],
        { env: LAYER_MODULES },
      );

      // Assess
      expect(stdout).toBe(`environment variable ${setting} is not set\n`);
    },
  );

  it('embed answers as it would deployed', async () => {
    // Prepare
    const server = await startTableServer();
    onTestFinished(() => server.close());
    const request = sampleRequest();
    await server.table.createJob(sampleJob(request));
    const bundle = bundleHandler('embed');
    onTestFinished(() => rmSync(bundle, { recursive: true }));

    // Act
    const { stdout } = await promisify(execFile)(
      process.execPath,
      ['--eval', PRINT_OUTPUT, join(bundle, 'index.js'), JSON.stringify({ request })],
      {
        env: {
          ...LAYER_MODULES,
          FLEXCACHE_TABLE: server.tableName,
          FLEXCACHE_MODEL_DIRECTORY: DEMO_PACKAGE,
          AWS_ENDPOINT_URL_DYNAMODB: server.endpoint,
          AWS_REGION: 'us-east-1',
          AWS_ACCESS_KEY_ID: 'any',
          AWS_SECRET_ACCESS_KEY: 'any',
          AWS_LAMBDA_FUNCTION_MEMORY_SIZE: '1769',
        },
      },
    );

    // Assess
    const { embedding, usage } = JSON.parse(stdout) as EmbedOutput;
    expect(Math.hypot(...embedding.vectors.whole)).toBeCloseTo(1, 5);
    expect(usage.lambdaMegabytes).toBe(1769);
    expect((await server.table.getJob(request.videoId))!.status).toBe('running');
  });
});
