/** The flags about what the platform does for a job: encryption, Binary Authorization, GPUs. They are kept in the job as the API has them; what of it is not served its tasks say when they fail. */
import { Option } from 'commander';
import type { CliCommand } from '../command.ts';
import type { Job, TaskTemplate } from './shapes.ts';

export interface PlatformFlags {
  readonly key?: string;
  readonly binaryAuthorization?: string;
  readonly clearBinaryAuthorization?: boolean;
  readonly breakglass?: string;
  readonly gpuType?: string;
  readonly gpuZonalRedundancy?: boolean;
  readonly executionEnvironment?: 'gen1' | 'gen2';
  readonly clientName?: string;
  readonly clientVersion?: string;
}

export function addPlatformFlags(command: CliCommand, changes: boolean): CliCommand {
  command
    .addOption(new Option('--key <key>', 'a Cloud KMS key, projects/P/locations/L/keyRings/R/cryptoKeys/K; kept in the job, nothing is encrypted with it here'))
    .addOption(new Option('--binary-authorization <policy>', 'default, or projects/P/platforms/cloudRun/POLICY; kept in the job, images are not checked here'))
    .addOption(new Option('--breakglass <justification>', 'why the policy may be passed over this time; the next change takes it away'))
    .addOption(new Option('--gpu-type <type>', 'kind of GPU, nvidia-l4; kept in the job, whose tasks fail where there is none to have'))
    .addOption(new Option('--gpu-zonal-redundancy', 'GPUs in another zone where one fails').hideHelp())
    .addOption(new Option('--no-gpu-zonal-redundancy', 'none of them').hideHelp())
    .addOption(new Option('--execution-environment <generation>', 'gen2, which every job has').choices(['gen1', 'gen2']).hideHelp())
    .addOption(new Option('--client-name <name>', 'how the program that changes the job calls itself').hideHelp())
    .addOption(new Option('--client-version <version>', 'its version').hideHelp());
  if (changes) command.addOption(new Option('--clear-binary-authorization', 'takes the policy away').conflicts('binaryAuthorization'));
  return command;
}

/** Changes the job in place. */
export function applyPlatformFlags(job: Job, task: TaskTemplate, flags: PlatformFlags): void {
  if (flags.key !== undefined) task.encryptionKey = flags.key;
  if (flags.gpuType) task.nodeSelector = { accelerator: flags.gpuType };
  if (flags.gpuZonalRedundancy !== undefined) task.gpuZonalRedundancyDisabled = !flags.gpuZonalRedundancy;
  if (flags.executionEnvironment !== undefined) task.executionEnvironment = flags.executionEnvironment === 'gen1' ? 'EXECUTION_ENVIRONMENT_GEN1' : 'EXECUTION_ENVIRONMENT_GEN2';
  if (flags.clientName !== undefined) job.client = flags.clientName;
  if (flags.clientVersion !== undefined) job.clientVersion = flags.clientVersion;
  // A justification is for one change.
  const { breakglassJustification: _, ...policy } = job.binaryAuthorization ?? {};
  const chosen =
    flags.clearBinaryAuthorization === true
      ? {}
      : flags.binaryAuthorization === undefined
        ? policy
        : flags.binaryAuthorization === 'default'
          ? { useDefault: true }
          : { policy: flags.binaryAuthorization };
  const settings = { ...chosen, ...(flags.breakglass === undefined ? {} : { breakglassJustification: flags.breakglass }) };
  if (Object.keys(settings).length > 0) job.binaryAuthorization = settings;
  else delete job.binaryAuthorization;
}
