import { describeWithEngine } from '../../../test/harness/engine.ts';
import { firewallObstacle } from './firewall.ts';
import { isolationContract } from './isolation-contract.ts';

const obstacle = await firewallObstacle();

describeWithEngine(`the tasks' network${obstacle === undefined ? '' : ` (skipped: ${obstacle})`}`, isolationContract);
