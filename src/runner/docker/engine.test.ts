import { describe } from 'vitest';
import { describeWithEngine } from '../../../test/harness/engine.ts';
import { containersContract } from './containers-contract.ts';
import { engineContract } from './engine-contract.ts';

describeWithEngine('the Docker driver', (dockerHost) => {
  engineContract(dockerHost);
  describe('containers of attempts', () => containersContract(dockerHost));
});
