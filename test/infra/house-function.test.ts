import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect, it, onTestFinished } from 'vitest';
import { bundleHandler } from '#infra/house-function.ts';

describe('a bundled function', () => {
  it.each(['embed', 'lookup', 'commit', 'fail'])(
    '%s loads by itself and says which setting it lacks',
    async (folder) => {
      // Prepare
      const bundle = bundleHandler(folder);
      onTestFinished(() => rmSync(bundle, { recursive: true }));

      // Act
      const { handler } = (await import(
        /* @vite-ignore */ pathToFileURL(join(bundle, 'index.mjs')).href
      )) as { handler: (event: unknown) => Promise<unknown> };

      // Assess
      await expect(handler({ request: { videoId: 'x' } })).rejects.toThrow(
        /^environment variable FLEXCACHE_\w+ is not set$/,
      );
    },
  );
});
