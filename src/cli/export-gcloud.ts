/** A project as a shell script of gcloud commands. Run again it changes nothing that is so already. The project itself must be there. */

import { option, orElse, poolCommands, tagCommands } from './export-gcloud-parts.ts';
import { isGivenByGoogle, type JsonRecord, type NodePolicy, NUMBERED, nameOf, type Snapshot, without } from './export-read.ts';
import { toYaml } from './format.ts';
import type { Role } from './iam/roles.ts';
import { isRecord, type Json } from './json.ts';
import type { Binding } from './policy.ts';
import { exportedJob } from './run/export.ts';
import { quoteShell } from './session.ts';

/** @param jobs the same jobs as in the snapshot, in v1, with the region of each */
export async function gcloudScriptOf(snapshot: Snapshot, jobs: readonly { readonly region: string; readonly job: JsonRecord }[]): Promise<string> {
  const [project] = snapshot.projects;
  if (project === undefined) return '';
  const { id, number } = project;
  const flag = `--project=${quoteShell(id)}`;
  const lines = [
    '#!/usr/bin/env bash',
    `# Project ${id}, as \`actas export --format=gcloud\` wrote it. Run again, it changes nothing that is so already.`,
    'set -euo pipefail',
    // What another project is numbered is not known here.
    `NUMBER=$(gcloud projects describe ${quoteShell(id)} --format='value(projectNumber)')`,
  ];
  for (const account of snapshot.serviceAccounts) {
    const email = `${account.id}@${id}.iam.gserviceaccount.com`;
    const texts = [...option('display-name', account.displayName), ...option('description', account.description)];
    lines.push('', orElse(`gcloud iam service-accounts describe ${email} ${flag}`, ['gcloud iam service-accounts create', account.id, flag, ...texts].join(' ')));
    if (account.disabled === true) lines.push(`gcloud iam service-accounts disable ${email} ${flag}`);
  }
  for (const role of snapshot.roles) lines.push('', roleCommand(role, flag));
  lines.push(...tagCommands(snapshot), ...poolCommands(snapshot, flag));
  for (const { region, job } of jobs) lines.push('', await jobCommand(job, region, number, flag));
  for (const policy of snapshot.policies) lines.push(...(await policyCommands(policy, id, number)));
  for (const policy of snapshot.denyPolicies) {
    const [name = '', place] = [nameOf(policy).split('/').at(-1), `--attachment-point=cloudresourcemanager.googleapis.com/projects/${id} --kind=denypolicies`];
    const body = JSON.stringify(without(policy, ['name']), undefined, 2);
    lines.push('', `${orElse(`gcloud iam policies get ${name} ${place}`, `gcloud iam policies create ${name} ${place} --policy-file=/dev/stdin`)} <<'JSON'`, body, 'JSON');
  }
  for (const policy of snapshot.orgPolicies) lines.push('', "gcloud org-policies set-policy /dev/stdin <<'YAML'", (await toYaml(policy)).trimEnd(), 'YAML');
  return `${lines.join('\n')}\n`;
}

function roleCommand({ name = '', title, description, stage = 'ALPHA', includedPermissions = [] }: Role, flag: string): string {
  const id = name.split('/').at(-1) ?? '';
  const texts = [...option('title', title), ...option('description', description), `--stage=${stage}`, ...option('permissions', includedPermissions.join(','))];
  return orElse(`gcloud iam roles describe ${id} ${flag}`, ['gcloud iam roles create', id, flag, '--quiet', ...texts].join(' '));
}

/** Without its namespace, which is another project's number, and without the default account, which is then another project's as well. */
async function jobCommand(job: JsonRecord, region: string, number: string, flag: string): Promise<string> {
  const exported = exportedJob(job);
  const metadata = isRecord(exported['metadata']) ? without(exported['metadata'], ['namespace']) : {};
  const yaml = await toYaml({ ...exported, metadata, spec: withoutAccount(exported['spec'], `${number}-compute@developer.gserviceaccount.com`) });
  return `gcloud run jobs replace /dev/stdin ${flag} --region=${region} <<'YAML'\n${yaml}YAML`;
}

/** @param spec of a job of v1: spec.template.spec.template.spec has the account */
function withoutAccount(spec: Json | undefined, account: string): Json {
  if (!isRecord(spec)) return {};
  if (spec['serviceAccountName'] === account) return without(spec, ['serviceAccountName']);
  const inner = Object.entries(spec).map(([key, value]) => [key, (key === 'template' || key === 'spec') && isRecord(value) ? withoutAccount(value, account) : value]);
  return Object.fromEntries(inner);
}

async function policyCommands({ resource, bindings }: NodePolicy, id: string, number: string): Promise<string[]> {
  const [, , kind, key = '', , job] = resource.split('/');
  const [group, target] =
    job !== undefined
      ? ['run jobs', `${job} --region=${key} --project=${id}`]
      : kind === 'serviceAccounts'
        ? ['iam service-accounts', `${numbered(key, number)} --project=${id}`]
        : ['projects', id];
  // A job's bindings take no condition one by one.
  if (job !== undefined && bindings.some(({ condition }) => condition !== undefined))
    return ['', `gcloud run jobs set-iam-policy ${target} --quiet /dev/stdin <<'JSON'`, JSON.stringify({ version: 3, bindings }, undefined, 2), 'JSON'];
  const lines: string[] = [];
  for (const { role = '', members = [], condition } of bindings)
    for (const member of members) {
      if (kind === undefined && isGivenByGoogle(role, member, number)) continue;
      lines.push(
        ...(await bindingCommand(
          `gcloud ${group} add-iam-policy-binding ${target} --quiet --member=${numbered(member, number)} --role=${quoteShell(role)}`,
          condition,
          job === undefined,
        )),
      );
    }
  return lines.length === 0 ? [] : ['', ...lines];
}

async function bindingCommand(command: string, condition: Binding['condition'], takesCondition: boolean): Promise<string[]> {
  if (condition === undefined) return [`${command}${takesCondition ? ' --condition=None' : ''} >/dev/null`];
  return [`${command} --condition-from-file=/dev/stdin >/dev/null <<'YAML'`, (await toYaml({ ...condition })).trimEnd(), 'YAML'];
}

/** Quoted, with the number of this project in the place of another's. */
function numbered(name: string, number: string): string {
  const parts = NUMBERED.exec(name);
  if (parts?.[2] !== number) return quoteShell(name);
  const [, before = '', , after = ''] = parts;
  return `${before === '' ? '' : quoteShell(before)}"\${NUMBER}"${quoteShell(after)}`;
}
