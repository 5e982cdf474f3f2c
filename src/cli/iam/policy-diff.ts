/** `actas iam diff`: who gains or loses what between two states of policies, from files alone. */
import { readFile } from 'node:fs/promises';
import type { Command } from 'commander';
import type { Comparison, Difference, Way } from '../../offline/differences.ts';
import { fullResourceName } from '../access-question.ts';
import { defineCommand, onRun, type Shell } from '../command.ts';
import { printable, shortResource } from '../explanation-tree.ts';
import { EXIT, failure, usageFailure } from '../failure.ts';
import { printResource } from '../format.ts';

interface DiffFlags {
  readonly resource?: string;
}

export function registerPolicyDiff(iam: Command, shell: Shell): void {
  const diff = defineCommand(iam, 'diff <before> [after]', {
    summary: 'tell who gains or loses what between two states of policies',
    description:
      'Compares two files without any control plane: seeds, policies as get-iam-policy prints them, exports of many policies (gcloud asset search-all-iam-policies --format=json), or what terraform show -json prints. A plan of Terraform may stand alone, or be applied to the first file. What lets somebody act as a service account or change policies comes first. Exits with 8 where somebody gains something.',
    examples: [
      'actas iam diff seed.yaml seed.new.yaml',
      'terraform show -json plan.out > plan.json && actas iam diff plan.json',
      'gcloud projects get-iam-policy demo --format=json > now.json && actas iam diff now.json plan.json --resource=projects/demo',
    ],
  }).option('--resource <resource>', 'what a file of get-iam-policy is the policy of: projects/PROJECT, a full name');
  onRun<DiffFlags>(diff, shell, async (session, before, after) => {
    const [{ compareStates }, { readDocument, statesOf }, { StateError }, { loadCatalogue }] = await Promise.all([
      import('../../offline/differences.ts'),
      import('../../offline/read-state.ts'),
      import('../../offline/seed-state.ts'),
      import('../../policy/catalogue.ts'),
    ]);
    const given = session.flags.resource;
    const resource = given === undefined ? undefined : fullResourceName(given);
    if (given !== undefined && resource === undefined)
      throw usageFailure(`'${given}' is not the name of a resource.`, 'Write projects/ID, folders/NUMBER, organizations/NUMBER, or a full name.');
    const texts = await Promise.all([before, after].filter((file) => file !== '').map(readText));
    const notes: string[] = [];
    let compared: Comparison;
    try {
      const [first, second] = texts.map((text, place) => readDocument(text, place === 0 ? before : after, notes));
      if (first === undefined) throw new StateError('There is nothing to compare.');
      const states = statesOf(first, second, resource, notes);
      compared = compareStates(states.before, states.after, loadCatalogue());
    } catch (error) {
      if (error instanceof StateError) throw failure('These cannot be compared.', ...error.message.split('\n'));
      throw error;
    }
    for (const note of new Set(notes)) session.terminal.warn(printable(note));
    if (session.format !== undefined) await printResource(session.terminal, session.format, toJson(compared, notes));
    else session.terminal.print(draw(compared).join('\n'));
    return compared.gains.length > 0 ? EXIT.no : EXIT.ok;
  });
}

async function readText(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    throw failure(`Cannot read ${file}: ${error instanceof Error ? error.message : String(error)}`);
  }
}

function toJson({ gains, losses, unknownRoles }: Comparison, notes: readonly string[]): object {
  const plain = ({ conditional, ways, ...rest }: Difference): object => ({
    ...rest,
    conditional,
    ways: ways.map(({ condition, ...way }) => ({ ...way, ...(condition === undefined ? {} : { condition }) })),
  });
  return { gains: gains.map(plain), losses: losses.map(plain), unknownRoles, notes: [...new Set(notes)] };
}

function draw({ gains, losses, unknownRoles }: Comparison): string[] {
  if (gains.length === 0 && losses.length === 0) return ['Nobody gains or loses anything.'];
  const lines = [
    ...(gains.length === 0 ? ['Nobody gains anything.'] : ['Newly possible:', ...gains.flatMap((each) => drawOne(each, 'gains'))]),
    '',
    ...(losses.length === 0 ? ['Nobody loses anything.'] : ['No longer possible:', ...losses.flatMap((each) => drawOne(each, 'loses'))]),
  ];
  if (unknownRoles.length > 0) lines.push('', `Not known here, and compared by name alone: ${unknownRoles.join(', ')}.`);
  return lines.map(printable);
}

/** Permissions that are shown; --format=json has them all. */
const SHOWN = 4;

function drawOne({ principal, resource, permissions, kind, grants, accounts, ways, conditional }: Difference, verb: 'gains' | 'loses'): string[] {
  const mark = verb === 'gains' ? (kind === 'other' ? '+' : '!') : '-';
  const telling = permissions.slice(0, SHOWN).join(', ') + (permissions.length > SHOWN ? ` and ${permissions.length - SHOWN} more` : '');
  const under = conditional ? ', under a condition' : '';
  const head =
    kind === 'act'
      ? `${principal} ${verb === 'gains' ? 'can newly' : 'can no longer'} act as ${whom(resource, accounts)}${grants ? ', and change who may do what there' : ''}${under}`
      : kind === 'grant'
        ? `${principal} ${verb === 'gains' ? 'can newly' : 'can no longer'} change who may do what on ${shortResource(resource)}${under}`
        : `${principal} ${verb} ${permissions.length === 1 ? 'a permission' : `${permissions.length} permissions`} on ${shortResource(resource)}${under}`;
  return [`${mark} ${head}`, `    ${telling}`, ...ways.map((way) => `    by ${drawWay(way)}`)];
}

function whom(resource: string, accounts: readonly string[]): string {
  if (resource.includes('/serviceAccounts/')) return resource.slice(resource.lastIndexOf('/') + 1);
  const known = accounts.length === 0 ? '' : `: ${accounts.slice(0, SHOWN).join(', ')}${accounts.length > SHOWN ? ` and ${accounts.length - SHOWN} more` : ''}`;
  return `every service account of ${shortResource(resource)}${known}`;
}

function drawWay({ role, resource, path, condition }: Way): string {
  return `${role} on ${shortResource(resource)}${path.length > 1 ? `, by way of ${path.join(' > ')}` : ''}${condition === undefined ? '' : `, under the condition "${condition}"`}`;
}
