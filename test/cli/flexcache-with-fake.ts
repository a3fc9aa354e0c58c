// The command on the fake cloud, for tests that need a process of its own.
import { main } from '#cli/main.ts';
import { openFakeCloud } from './fake-cloud.ts';

await main((options) =>
  openFakeCloud(options, { milliseconds: Number(process.env['FAKE_MILLISECONDS'] ?? 2) }),
);
