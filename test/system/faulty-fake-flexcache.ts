// The command with models that take no time, whose networks fail as the environment says.
import { main } from '#cli/main.ts';
import { openEmbeddedCloud } from '#local/embedded-cloud.ts';
import { SHORT_PAUSES, withFaultsOfEnvironment } from '../../bench/inject-faults.ts';
import { fakeModels } from '../local/fake-models.ts';

await main((options) =>
  openEmbeddedCloud(options, {
    openModels: async () => withFaultsOfEnvironment(fakeModels()),
    ...(SHORT_PAUSES && { retryPauses: SHORT_PAUSES }),
  }),
);
