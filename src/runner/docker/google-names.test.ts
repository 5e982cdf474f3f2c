import { describeWithEngine } from '../../../test/harness/engine.ts';
import { googleNamesContract } from './google-names-contract.ts';

describeWithEngine("Google's names in tasks, on the engine of the tests", googleNamesContract);
