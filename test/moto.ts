import { spawn, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';

/** Where moto listens, or why there is none. */
export type MotoState =
  { endpoint: string; missing?: undefined } | { endpoint?: undefined; missing: string };

const OWN_PYTHON = join(import.meta.dirname, '..', '.venv-moto', 'bin', 'python');
const CAN_IMPORT_MOTO =
  'import importlib.util as u, sys; sys.exit(not (u.find_spec("moto") and u.find_spec("flask")))';
const READY_SECONDS = 30;

/** Starts moto's server, an emulator of AWS, if a Python that has it is found. */
export async function startMoto(): Promise<{ state: MotoState; stop: () => void }> {
  const python = findPython();
  if (python === null) {
    const missing =
      'moto is not installed: python3 -m venv .venv-moto && .venv-moto/bin/pip install -r test/requirements.txt';
    return { state: { missing }, stop: () => undefined };
  }
  const port = await freePort();
  const server = spawn(python, ['-m', 'moto.server', '-H', '127.0.0.1', '-p', String(port)], {
    stdio: 'ignore',
  });
  return {
    state: { endpoint: `http://127.0.0.1:${port}` },
    stop: () => void server.kill(),
  };
}

/** Resolves when the server answers. */
export async function motoIsReady(endpoint: string): Promise<void> {
  const giveUpAt = Date.now() + READY_SECONDS * 1000;
  for (;;) {
    try {
      const answer = await fetch(`${endpoint}/moto-api/data.json`);
      // An answer that nobody reads trips the client over its connection's end, whenever that comes.
      await answer.arrayBuffer();
      return;
    } catch (error) {
      if (Date.now() > giveUpAt) throw new Error(`moto does not answer`, { cause: error });
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}

/** What an AWS client needs to talk to moto. */
export function motoClientOptions(endpoint: string) {
  return {
    endpoint,
    region: 'us-east-1',
    credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
  };
}

function findPython(): string | null {
  const given = process.env['FLEXCACHE_MOTO_PYTHON'];
  const candidates = given ? [given] : [...(existsSync(OWN_PYTHON) ? [OWN_PYTHON] : []), 'python3'];
  return (
    candidates.find((python) => spawnSync(python, ['-c', CAN_IMPORT_MOTO]).status === 0) ?? null
  );
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
