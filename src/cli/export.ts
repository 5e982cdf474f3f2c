/** `actas export`: a project as a seed file, as HCL, or as a script of gcloud commands. Keys, tokens and what secrets hold are never in it. */
import type { Api } from './api.ts';
import { type CliCommand, defineCommand, onRun, type Shell } from './command.ts';
import { gcloudScriptOf } from './export-gcloud.ts';
import { type JsonRecord, nameOf, readProject, readSecrets, type Snapshot } from './export-read.ts';
import { terraformOf } from './export-terraform.ts';
import { isApiFailure, usageFailure } from './failure.ts';
import { runV1 } from './run/export.ts';
import type { Session } from './session.ts';
import type { Terminal } from './terminal.ts';

export function registerExport(program: CliCommand, shell: Shell): void {
  const command = defineCommand(program, 'export', {
    summary: 'write a project as a seed file, Terraform, or gcloud commands',
    description:
      'Writes a project: service accounts, custom roles, allow, deny and organization policies, tags, workload identity pools, and jobs. --format=yaml (the default) is a seed file, with what ' +
      'decides from above: organization, folders, groups and their policies. --format=terraform is HCL for the google provider, --format=gcloud a shell script; both are for a project that exists. ' +
      'Of secrets the seed file has names, labels and policies. Keys, tokens and what secrets hold are never in it; values of environment variables of jobs are.',
    examples: ['actas export > seed.yaml', 'actas export --format=terraform --project=demo > main.tf', 'actas export --format=gcloud > apply.sh'],
  });
  // Not the common ways of printing: they are of one resource, this is of many.
  onRun(command, shell, async (session) => {
    const kind = session.format?.kind ?? 'yaml';
    if (kind !== 'yaml' && kind !== 'terraform' && kind !== 'gcloud') throw usageFailure(`The format ${kind} is not one of export.`, 'Known: yaml, terraform, gcloud.');
    const project = await session.project();
    const api = await session.api();
    const snapshot = kind === 'yaml' ? await readWithAncestors(session, api, project) : await readProject(api, project, false, leaveOut(session.terminal));
    if (kind === 'terraform') return session.terminal.printRaw(terraformOf(snapshot));
    if (kind === 'gcloud') return session.terminal.printRaw(await gcloudScriptOf(snapshot, await readV1Jobs(api, project, snapshot)));
    session.terminal.printRaw(await seedOf(await withSecrets(session, api, project, snapshot)));
  });
}

/** Who may read the project need not be allowed to read what is above it. */
async function readWithAncestors({ terminal }: Session, api: Api, project: string): Promise<Snapshot> {
  try {
    return await readProject(api, project, true, leaveOut(terminal));
  } catch (error) {
    if (!isApiFailure(error, 'PERMISSION_DENIED')) throw error;
    const snapshot = await readProject(api, project, false, leaveOut(terminal));
    terminal.warn(`What is above the project is left out, for you may not read all of it: ${error.reason}`);
    return snapshot;
  }
}

function leaveOut(terminal: Terminal): (what: string) => void {
  return (what) => terminal.warn(`Left out, for you may not read them: ${what}.`);
}

/** Who may read the project need not be allowed to list its secrets. */
async function withSecrets({ terminal }: Session, api: Api, project: string, snapshot: Snapshot): Promise<Snapshot> {
  try {
    const { secrets, policies } = await readSecrets(api, project);
    return { ...snapshot, secrets, policies: [...snapshot.policies, ...policies] };
  } catch (error) {
    if (!isApiFailure(error, 'PERMISSION_DENIED')) throw error;
    terminal.warn(`Secrets are left out, for you may not read all of them: ${error.reason}`);
    return snapshot;
  }
}

/** A seed file; what is empty is left out. */
async function seedOf(snapshot: Snapshot): Promise<string> {
  const { stringify } = await import('yaml');
  const parts = Object.entries(snapshot).filter(([, list]) => !Array.isArray(list) || list.length > 0);
  return `# Project ${snapshot.projects[0]?.id ?? ''}, as \`actas export\` wrote it:  actas up --seed=FILE\n${stringify(Object.fromEntries(parts), { lineWidth: 0, aliasDuplicateObjects: false })}`;
}

async function readV1Jobs(api: Api, project: string, { jobs }: Snapshot): Promise<{ readonly region: string; readonly job: JsonRecord }[]> {
  return Promise.all(
    jobs.map(async (job) => {
      const [, , , region = '', , name = ''] = nameOf(job).split('/');
      return { region, job: await api.get<JsonRecord>(runV1(region), `namespaces/${project}/jobs/${name}`) };
    }),
  );
}
