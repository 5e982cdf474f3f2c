/** The commands as a whole: each explains itself, docs/cli.md is what they say, completion knows them. */
import type { Command } from 'commander';
import { beforeAll, describe, expect, it } from 'vitest';
import { CliCommand, COMMON_GROUP, commandPath, type Shell } from './command.ts';
import { collectWords } from './completion.ts';
import { EXIT_MEANINGS } from './failure.ts';
import type { Io } from './io.ts';
import { buildProgram } from './program.ts';
import { run } from './test-shell.ts';
import { TRANSFORM_NAMES } from './transforms.ts';

let program: CliCommand;
let leaves: Command[];

beforeAll(async () => {
  const { PassThrough } = await import('node:stream');
  const sink = { write() {}, isTTY: false, columns: undefined, stream: new PassThrough() };
  const io: Io = { env: {}, out: sink, err: sink, stdin: new PassThrough(), onInterrupt: () => () => {} };
  const shell: Shell = { io, exitCode: 0 };
  program = await buildProgram(shell, '*');
  leaves = collectLeaves(program);
});

function collectLeaves(command: Command): Command[] {
  return command.commands.length === 0 ? [command] : command.commands.flatMap(collectLeaves);
}

function helpOf(command: Command): string {
  let text = '';
  command.configureOutput({ writeOut: (part) => (text += part), getOutHelpWidth: () => 100 });
  command.outputHelp();
  return text;
}

describe('every command', () => {
  it('is there', () => {
    const paths = leaves.map((leaf) => commandPath(leaf).join(' '));
    for (const path of [
      'up',
      'status',
      'stop',
      'auth print-access-token',
      'run jobs create',
      'run jobs execute',
      'run jobs executions tasks list',
      'run jobs logs tail',
      'run jobs set-iam-policy',
      'iam service-accounts undelete',
      'projects add-iam-policy-binding',
      'resource-manager folders get-iam-policy',
      'resource-manager organizations describe',
      'completion',
    ])
      expect(paths).toContain(path);
  });

  it('has a summary, help and an example', () => {
    for (const leaf of leaves) {
      expect(leaf.summary() || leaf.description(), commandPath(leaf).join(' ')).not.toBe('');
      expect(helpOf(leaf), commandPath(leaf).join(' ')).toMatch(/Examples:\n\s+\S/);
    }
  });

  it('has examples that parse: they name existing commands and flags', () => {
    for (const leaf of leaves) {
      if (!(leaf instanceof CliCommand)) continue;
      for (const line of leaf.examples) {
        for (const [flag = ''] of line.replaceAll(/"[^"]*"|'[^']*'/g, '').matchAll(/(?<= )--[a-z-]+/g)) {
          const known = program.commands.concat(leaves).some((command) => command.options.some((option) => option.long === flag));
          expect(known, `${line}: ${flag}`).toBe(true);
        }
        expect(line, line).toContain(`actas ${commandPath(leaf).join(' ')}`);
      }
    }
  });

  it('is in docs/cli.md', async () => {
    await expect(reference(program, leaves)).toMatchFileSnapshot('../../docs/cli.md');
  });
});

function reference(root: CliCommand, commands: readonly Command[]): string {
  const sections = commands.map((leaf) => section(leaf));
  return `# The command line

Made from the commands themselves by \`npx vitest run src/cli/reference.test.ts -u\`; edit the words there.

The grammar is gcloud's, for what is here. Results go to stdout, everything else to stderr, so \`$(...)\` and pipes get results only.
Every answer to a person names its target on stderr, \`actas: local, project demo, region us-central1\`; \`--quiet\` and \`--format\` leave that out.

## Finding the control plane

| what | from |
|---|---|
| address | \`ACTAS_URL\`; inside a task's container \`ACTAS_API\`; else the control plane that runs on the data directory: \`--data-dir\`, \`ACTAS_DATA_DIR\`, \`$XDG_DATA_HOME/actas\`, \`~/.local/share/actas\` |
| caller | \`--as PRINCIPAL\` (for who holds the owner's token); \`ACTAS_TOKEN\`; inside a container the metadata server; else the owner's token in the data directory, which is sent to that control plane or to this machine only |
| project | \`--project\`, \`ACTAS_PROJECT\`, \`CLOUDSDK_CORE_PROJECT\`, inside a container its own, else the control plane's default |
| region | \`--region\`, \`ACTAS_REGION\`, \`CLOUDSDK_RUN_REGION\`, inside a container its own, else \`us-central1\` |

## Exit codes

| code | meaning |
|---|---|
${EXIT_MEANINGS.map(([code, meaning]) => `| ${code} | ${meaning} |`).join('\n')}

## Formats, filters, values

- \`--format=json\`, \`yaml\`, \`list\`, \`flattened\`, \`none\`, each alone or of some keys, \`json(KEYS)\`; \`value(KEYS)\`, \`csv(KEYS)\`, \`table(KEYS)\`. A key is a path into the API's JSON, \`template.template.containers[0].image\`, with transforms: ${TRANSFORM_NAMES.map((name) => `\`.${name}()\``).join(', ')}. Behind a key \`:label=NAME\`, \`:sort=1\`, \`:reverse\`, \`:align=right\`, \`:optional\`. In brackets \`csv[no-heading]\`, \`value[separator=","]\`, \`[terminator=...]\`, \`[delimiter=...]\`, \`table[box]\`, \`table[no-heading]\`. Each prints what gcloud's prints; what is not known is refused by name.
- Jobs, executions and tasks are those of the API v2. Where the keys of a format, a filter or an order are v1's (\`metadata.name\`, \`spec...\`, \`status...\`), as scripts for gcloud have them, they are read from v1.
- \`--flatten=bindings[].members\`: an item for each value of these lists, before the filter.
- \`--filter\`: \`key=value\`, \`!=\`, \`:\` (holds), \`<\`, \`<=\`, \`>\`, \`>=\`, \`~\` and \`!~\` (regular expressions), joined by AND, OR, NOT and parentheses. \`--sort-by=~createTime,name\`, \`--limit\`; \`--uri\` for jobs, executions and tasks.
- \`--no-FLAG\` for every flag without a value says what leaving it out says; of both the last one counts. \`beta\` and \`alpha\` may stand before a command.
- Lists are \`a,b,c\`; \`^;^a,b;c\` chooses another separator. Durations are \`600\`, \`10m\`, \`1h30m\`.
- Colours and spinners appear on a terminal only; \`NO_COLOR\` turns colours off, \`CI\` both.

## Commands

${root.examples.length === 0 ? '' : `\`\`\`sh\n${root.examples.join('\n')}\n\`\`\`\n\n`}Flags that every command but \`up\` has: ${commonFlags(commands)}.

${sections.join('\n\n')}
`;
}

function commonFlags(commands: readonly Command[]): string {
  const options = commands.flatMap((command) => command.options.filter((option) => option.helpGroupHeading === COMMON_GROUP && !option.hidden));
  return [...new Set(options.map((option) => `\`${option.flags}\``))].join(', ');
}

function section(leaf: Command): string {
  const usage = leaf.registeredArguments.map((argument) => (argument.required ? `<${argument.name()}>` : `[${argument.name()}]`)).join(' ');
  const flags = leaf.options.filter((option) => option.helpGroupHeading !== COMMON_GROUP && !option.hidden);
  const rows = flags.map((option) => `| \`${option.flags.replaceAll('|', '\\|')}\` | ${option.description.replaceAll('|', '\\|')} |`);
  const examples = leaf instanceof CliCommand ? leaf.examples : [];
  return [
    `### actas ${commandPath(leaf).join(' ')}${usage === '' ? '' : ` ${usage}`}`,
    '',
    leaf.description(),
    ...(rows.length === 0 ? [] : ['', '| flag | meaning |', '|---|---|', ...rows]),
    ...(examples.length === 0 ? [] : ['', '```sh', ...examples, '```']),
  ].join('\n');
}

describe('completion', () => {
  it('knows every command and its flags', () => {
    const tree = new Map(collectWords(program).map(({ path, words }) => [path, words.map(({ word }) => word)]));
    expect(tree.get('')).toEqual(expect.arrayContaining(['up', 'run', 'iam']));
    for (const leaf of leaves) expect(tree.has(commandPath(leaf).join(' ')), commandPath(leaf).join(' ')).toBe(true);
    expect(tree.get('run jobs create')).toEqual(expect.arrayContaining(['--image', '--service-account', '--project']));
  });

  it('refuses other shells', async () => {
    expect(await run(['completion', 'tcsh'])).toMatchObject({ code: 2 });
  });
});
