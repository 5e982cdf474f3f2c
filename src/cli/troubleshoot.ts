/** `policy-troubleshoot iam` and `policy-intelligence troubleshoot-policy iam`, in the words of gcloud. Clients of Policy Troubleshooter. */
import type { Command } from 'commander';
import { parseTime } from './access-question.ts';
import { type CliCommand, defineCommand, defineGroup, onRun, requiredFlag, type Shell } from './command.ts';
import { usageFailure } from './failure.ts';
import { parseFormat, printResource } from './format.ts';

const HOST = 'policytroubleshooter.googleapis.com';
const PROJECT = '//cloudresourcemanager.googleapis.com/projects/demo';

interface TroubleshootFlags {
  readonly principalEmail?: string;
  readonly permission?: string;
  readonly resourceService?: string;
  readonly resourceType?: string;
  readonly resourceName?: string;
  readonly requestTime?: string;
  readonly destinationIp?: string;
  readonly destinationPort?: string;
}

export function registerPolicyTroubleshoot(program: Command, shell: Shell): void {
  const group = defineGroup(program, 'policy-troubleshoot', 'why somebody has a permission, in the words of gcloud');
  registerIam(group, shell, 'policy-troubleshoot iam', 'v2alpha1', 'troubleshoot allow policies');
}

export function registerPolicyIntelligence(program: Command, shell: Shell): void {
  const group = defineGroup(defineGroup(program, 'policy-intelligence', 'what policies do, in the words of gcloud'), 'troubleshoot-policy', 'troubleshoot policies');
  registerIam(group, shell, 'policy-intelligence troubleshoot-policy iam', 'v3', 'troubleshoot allow and deny policies');
}

function registerIam(group: CliCommand, shell: Shell, path: string, version: string, summary: string): void {
  const command = defineCommand(group, 'iam <resource>', {
    summary,
    examples: [`actas ${path} ${PROJECT} --principal-email=dev@example.com --permission=run.jobs.run`],
  })
    .option('--principal-email <email>', 'e-mail address of a user or service account')
    .option('--permission <permission>', 'permission to check, run.jobs.run')
    .option('--resource-service <service>', 'resource.service of conditions')
    .option('--resource-type <type>', 'resource.type of conditions')
    .option('--resource-name <name>', 'resource.name of conditions')
    .option('--request-time <time>', 'request.time of conditions')
    .option('--destination-ip <ip>', 'destination.ip of conditions')
    .option('--destination-port <port>', 'destination.port of conditions');
  onRun<TroubleshootFlags>(command, shell, async (session, fullResourceName) => {
    const { flags } = session;
    const accessTuple = {
      fullResourceName,
      principal: requiredFlag(flags.principalEmail, '--principal-email <email>'),
      permission: requiredFlag(flags.permission, '--permission <permission>'),
      conditionContext: {
        resource: defined({ service: flags.resourceService, type: flags.resourceType, name: flags.resourceName }),
        request: defined({ receiveTime: flags.requestTime === undefined ? undefined : parseTime(flags.requestTime) }),
        destination: defined({ ip: flags.destinationIp, port: flags.destinationPort === undefined ? undefined : portOf(flags.destinationPort) }),
      },
    };
    await session.project();
    const answer = await (await session.api()).send('POST', HOST, `${version}/iam:troubleshoot`, { accessTuple });
    await printResource(session.terminal, session.format ?? parseFormat('yaml'), answer);
  });
}

function defined(fields: Readonly<Record<string, string | undefined>>): object {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
}

function portOf(text: string): string {
  if (!/^\d{1,5}$/.test(text)) throw usageFailure(`'${text}' is not a port.`, 'Write a number, 8080');
  return text;
}
