/** The allow policy of a job: `run jobs get-iam-policy` and its siblings. */
import { RUN } from '../api.ts';
import { type CliCommand, type Shell, withRegion } from '../command.ts';
import { type Policy, registerPolicy } from '../policy.ts';
import { jobName } from './names.ts';

export function registerJobIam(jobs: CliCommand, shell: Shell): void {
  registerPolicy(
    jobs,
    shell,
    {
      noun: 'job',
      argument: '<job>',
      example: 'hello',
      flags: withRegion,
      async resolve(session, given) {
        const { name, job } = await jobName(session, given);
        return { name, shown: job };
      },
      get: (api, name) => api.get<Policy>(RUN, `${name}:getIamPolicy`, { 'options.requestedPolicyVersion': 3 }),
      set: (api, name, policy, updateMask) => api.send<Policy>('POST', RUN, `${name}:setIamPolicy`, { policy, ...(updateMask === undefined ? {} : { updateMask }) }),
    },
    'run jobs',
  );
}
