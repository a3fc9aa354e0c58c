import { execFile } from 'node:child_process';
import { readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { CloudAssembly } from 'aws-cdk-lib/cx-api';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import type { EmbedOutput } from '#functions/shared/states.ts';
import { createApp } from '#infra/create-app.ts';
import { startTableServer } from '#local/table-server.ts';
import { sampleJob, sampleRequest } from '../aws/samples.ts';
import { STACKS, templateOf } from './stack-template.ts';

/** AWS takes no more of a function and its layers together, unpacked. */
const MAX_FUNCTION_BYTES = 250 * 1024 * 1024;

/** More means that something was bundled by mistake. */
const MAX_BUNDLE_BYTES = 8 * 1024 * 1024;

const FOLDERS = [
  'Api',
  'Close',
  'Commit',
  'Dispatch',
  'Embed',
  'Evict',
  'Fail',
  'Fleet',
  'InteractiveDesiredCount',
  'Lookup',
  'Predict',
  'Prepare',
  'Report',
  'Submit',
  'Sweep',
  'Webhook',
];

/** They read no variable of ours. */
const WITHOUT_VARIABLES = ['InteractiveDesiredCount'];

/** A function as it would be deployed: folders of its code and of its layers, names of its variables. */
interface DeployedFunction {
  code: string;
  layers: string[];
  variables: string[];
}

let assembly: CloudAssembly;
let functions: Map<string, DeployedFunction>;

beforeAll(() => {
  assembly = createApp().app.synth({ skipValidation: true });
  functions = deployedFunctions();
}, 300_000);

afterAll(() => rmSync(assembly.directory, { recursive: true }));

function deployedFunctions(): Map<string, DeployedFunction> {
  const folderOf = ({ S3Key: key }: { S3Key: string }): string =>
    join(assembly.directory, `asset.${key.replace('.zip', '')}`);
  const found = new Map<string, DeployedFunction>();
  for (const stack of STACKS) {
    const template = templateOf(assembly, stack);
    const layers = template.findResources('AWS::Lambda::LayerVersion');
    for (const [logicalId, { Properties: properties }] of Object.entries(
      template.findResources('AWS::Lambda::Function'),
    )) {
      found.set(logicalId.replace(/[0-9A-F]{8}$/, ''), {
        code: folderOf(properties.Code),
        layers: ((properties.Layers ?? []) as { Ref: string }[]).map(({ Ref: layer }) =>
          folderOf(layers[layer]!['Properties'].Content),
        ),
        variables: Object.keys(properties.Environment.Variables).filter((variable) =>
          variable.startsWith('FLEXCACHE_'),
        ),
      });
    }
  }
  return found;
}

function bytesIn(folder: string): number {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .reduce((sum, { parentPath, name }) => sum + statSync(join(parentPath, name)).size, 0);
}

/** Runs code in a process that finds the modules of the layers, as Lambda does, and no others. */
async function run(
  { code, layers }: DeployedFunction,
  script: string,
  environment: Record<string, string> = {},
): Promise<string> {
  const modules = layers.map((layer) => join(layer, 'nodejs/node_modules'));
  const { stdout } = await promisify(execFile)(
    process.execPath,
    ['--eval', script.replace('BUNDLE', JSON.stringify(join(code, 'index.js')))],
    { cwd: code, env: { NODE_PATH: modules.join(':'), AWS_REGION: 'us-east-1', ...environment } },
  );
  return stdout;
}

/** Some call: how it ends does not matter once everything that it works with was made. */
const CALL = `
  const ended = (outcome) => { console.log('ended ' + (outcome?.message ?? '')); process.exit(); };
  const context = { getRemainingTimeInMillis: () => 60_000 };
  require(BUNDLE).handler({ Records: [], request: { videoId: 'x' } }, context).then(ended, ended);
`;

/** A port that nobody listens to. */
const UNREACHABLE = {
  AWS_ENDPOINT_URL: 'http://127.0.0.1:1',
  AWS_MAX_ATTEMPTS: '1',
  AWS_ACCESS_KEY_ID: 'any',
  AWS_SECRET_ACCESS_KEY: 'any',
};

/** The folder of the model package in a function's layers. */
function modelOf({ layers }: DeployedFunction): string {
  const layer = layers.find((folder) => readdirSync(folder).includes('model'));
  return layer === undefined ? 'none' : join(layer, 'model');
}

describe('a deployed function', () => {
  it('is one of these', () => {
    // Assess
    expect([...functions.keys()].sort()).toEqual(FOLDERS);
  });

  it.each(FOLDERS)('%s is within the limits, its layers included', (name) => {
    // Prepare
    const { code, layers } = functions.get(name)!;

    // Act
    const bundled = bytesIn(code);
    const together = layers.reduce((sum, layer) => sum + bytesIn(layer), bundled);

    // Assess
    expect(bundled).toBeLessThan(MAX_BUNDLE_BYTES);
    expect(together).toBeLessThan(MAX_FUNCTION_BYTES);
  });

  it.each(FOLDERS)('%s loads with nothing but its own code and layers', async (name) => {
    // Act
    const kind = await run(functions.get(name)!, 'console.log(typeof require(BUNDLE).handler)');

    // Assess
    expect(kind).toBe('function\n');
  });

  it.each(FOLDERS.filter((name) => !WITHOUT_VARIABLES.includes(name)))(
    '%s is told everything that it reads',
    async (name) => {
      // Prepare
      const deployed = functions.get(name)!;
      const told = Object.fromEntries(deployed.variables.map((variable) => [variable, '1']));
      const model = { FLEXCACHE_MODEL_DIRECTORY: modelOf(deployed) };

      // Act
      const [untold, answer] = await Promise.all([
        run(deployed, CALL),
        run(deployed, CALL, { ...told, ...model, ...UNREACHABLE }),
      ]);

      // Assess
      expect(untold).toContain('is not set');
      expect(answer).toContain('ended');
      expect(answer).not.toContain('is not set');
      expect(answer).not.toContain('model');
    },
  );

  it('Embed answers as it would deployed', async () => {
    // Prepare
    const server = await startTableServer();
    onTestFinished(() => server.close());
    const request = sampleRequest();
    await server.table.createJob(sampleJob(request));
    const embed = functions.get('Embed')!;

    // Act
    const output = await run(
      embed,
      `require(BUNDLE).handler(${JSON.stringify({ request })}).then((output) => console.log('output ' + JSON.stringify(output)))`,
      {
        FLEXCACHE_TABLE: server.tableName,
        FLEXCACHE_MODEL_DIRECTORY: modelOf(embed),
        AWS_ENDPOINT_URL_DYNAMODB: server.endpoint,
        AWS_ACCESS_KEY_ID: 'any',
        AWS_SECRET_ACCESS_KEY: 'any',
        AWS_LAMBDA_FUNCTION_MEMORY_SIZE: '1769',
      },
    );

    // Assess
    const { embedding, usage } = JSON.parse(/^output (.*)$/m.exec(output)![1]!) as EmbedOutput;
    expect(Math.hypot(...embedding.vectors.whole)).toBeCloseTo(1, 5);
    expect(usage.lambdaMegabytes).toBe(1769);
    expect((await server.table.getJob(request.videoId))!.status).toBe('running');
  });
});
