#!/usr/bin/env node
// Plain JavaScript that even an old Node parses: the sources are TypeScript and need Node 22.18.
import { spawn, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const OLDEST = [22, 18];

function isNewEnough(version) {
  const [major, minor] = version.replace(/^v/, '').split('.').map(Number);
  return major > OLDEST[0] || (major === OLDEST[0] && minor >= OLDEST[1]);
}

/** The Node that `npm ci` installs beside the product where a prebuilt one exists. */
function bundledNode() {
  const root = dirname(dirname(fileURLToPath(import.meta.url)));
  const path = join(root, 'node_modules', '.bin', 'node');
  if (!existsSync(path)) return null;
  const answer = spawnSync(path, ['--version'], { encoding: 'utf8' });
  return answer.status === 0 && isNewEnough(answer.stdout.trim()) ? path : null;
}

if (isNewEnough(process.version)) {
  const { main } = await import('./main.ts');
  await main();
} else {
  const node = bundledNode();
  if (node === null) {
    process.stderr.write(
      `flexcache: invalid_input: Node ${process.version} is too old, ${OLDEST.join('.')} or newer is needed: install it, or run npm ci on Linux x64, which brings one\n`,
    );
    process.exitCode = 2;
  } else {
    const self = fileURLToPath(import.meta.url);
    const child = spawn(node, [self, ...process.argv.slice(2)], { stdio: 'inherit' });
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
      process.on(signal, () => child.kill(signal));
    }
    child.on('exit', (code, signal) => {
      process.exitCode = code ?? (signal === 'SIGINT' ? 130 : 1);
    });
  }
}
