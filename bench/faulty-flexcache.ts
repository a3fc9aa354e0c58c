// The command with the shipped model, whose networks fail as the environment says.
import { main } from '#cli/main.ts';
import { openEmbeddedCloud } from '#local/embedded-cloud.ts';
import { openModels } from '#local/embedded-models.ts';
import { SHORT_PAUSES, withFaultsOfEnvironment } from './inject-faults.ts';

await main((options) =>
  openEmbeddedCloud(options, {
    openModels: async (...args) => withFaultsOfEnvironment(await openModels(...args)),
    ...(SHORT_PAUSES && { retryPauses: SHORT_PAUSES }),
  }),
);
