/**
 * The tree of commands. Each top-level group is loaded when the line names it, or for the whole tree (help, completion),
 * so that `actas --help` and `actas run jobs list` load no server.
 */
import type { Command } from 'commander';
import { version } from '../version.ts';
import { CliCommand, COMMON_FLAGS, commandPath, type Shell } from './command.ts';
import { EXIT_MEANINGS } from './failure.ts';

type Register = (program: CliCommand, shell: Shell) => void | Promise<void>;

interface Entry {
  readonly name: string;
  readonly summary: string;
  readonly load: () => Promise<Register>;
}

const ENTRIES: readonly Entry[] = [
  { name: 'up', summary: 'start the control plane', load: async () => (await import('./up.ts')).registerUp },
  { name: 'status', summary: 'show the control plane that runs', load: async () => (await import('./status.ts')).registerStatus },
  { name: 'stop', summary: 'stop the control plane', load: async () => (await import('./stop.ts')).registerStop },
  { name: 'env', summary: 'print what makes gcloud, Terraform and client libraries come here', load: async () => (await import('./env.ts')).registerEnv },
  { name: 'exec', summary: 'run a command whose calls to Google come here', load: async () => (await import('./exec.ts')).registerExec },
  { name: 'gcloud', summary: "run this machine's gcloud against the control plane", load: async () => (await import('./gcloud.ts')).registerGcloud },
  { name: 'terraform', summary: "run this machine's terraform against the control plane", load: async () => (await import('./terraform.ts')).registerTerraform },
  { name: 'doctor', summary: 'find what keeps clients from coming here', load: async () => (await import('./doctor.ts')).registerDoctor },
  { name: 'auth', summary: 'get tokens, and choose who calls', load: async () => (await import('./auth.ts')).registerAuth },
  { name: 'run', summary: 'jobs, their executions, tasks, logs and policies', load: async () => (await import('./run/run.ts')).registerRun },
  { name: 'logging', summary: 'log entries and logs, in the words of gcloud', load: async () => (await import('./logging.ts')).registerLogging },
  { name: 'audit', summary: 'who asked for what, and whether it was granted', load: async () => (await import('./audit.ts')).registerAudit },
  { name: 'iam', summary: 'service accounts, roles and policies', load: async () => (await import('./iam/iam.ts')).registerIam },
  { name: 'groups', summary: 'groups and their members', load: async () => (await import('./groups.ts')).registerGroupCommands },
  { name: 'identity', summary: 'groups, in the words of gcloud', load: async () => (await import('./groups.ts')).registerIdentity },
  { name: 'roles', summary: 'predefined roles that the catalogue lacks', load: async () => (await import('./roles.ts')).registerImportedRoles },
  { name: 'projects', summary: 'projects and their policies', load: async () => (await import('./iam/projects.ts')).registerProjects },
  { name: 'resource-manager', summary: 'folders, organizations, tags, liens and policies', load: async () => (await import('./iam/containers.ts')).registerResourceManager },
  { name: 'organizations', summary: 'organizations and their policies', load: async () => (await import('./iam/containers.ts')).registerOrganizations },
  { name: 'services', summary: 'which services a project has enabled', load: async () => (await import('./services.ts')).registerServices },
  { name: 'secrets', summary: 'secrets, their versions and policies', load: async () => (await import('./secrets/secrets.ts')).registerSecrets },
  { name: 'org-policies', summary: 'organization policies and custom constraints', load: async () => (await import('./iam/org-policies.ts')).registerOrgPolicies },
  { name: 'why', summary: 'tell why somebody has a permission or not, and what would change that', load: async () => (await import('./why.ts')).registerWhy },
  { name: 'who-can', summary: 'list who has a permission on a resource, and by which binding', load: async () => (await import('./who-can.ts')).registerWhoCan },
  {
    name: 'policy-troubleshoot',
    summary: 'why somebody has a permission, in the words of gcloud',
    load: async () => (await import('./troubleshoot.ts')).registerPolicyTroubleshoot,
  },
  { name: 'policy-intelligence', summary: 'what policies do, in the words of gcloud', load: async () => (await import('./troubleshoot.ts')).registerPolicyIntelligence },
  { name: 'export', summary: 'write a project as a seed file, Terraform, or gcloud commands', load: async () => (await import('./export.ts')).registerExport },
  { name: 'import', summary: 'make what seed files, allow policies or job YAML declare', load: async () => (await import('./import.ts')).registerImport },
  { name: 'completion', summary: 'print a completion script for a shell', load: async () => (await import('./completion.ts')).registerCompletion },
];

/** @param only the group to load; the whole tree where absent */
export async function buildProgram(shell: Shell, only?: string): Promise<CliCommand> {
  const { io } = shell;
  const program = new CliCommand('actas');
  program
    .description('Container jobs that run as a service account, on your own machine. Compatible with Cloud Run jobs and IAM; the commands are those of gcloud.')
    .version(version(), '-V, --version', 'print the version')
    .helpOption('-h, --help', 'show help')
    .exitOverride()
    .showSuggestionAfterError(true)
    .configureHelp({ showGlobalOptions: false, sortSubcommands: false })
    .configureOutput({
      writeOut: (text) => io.out.write(text),
      writeErr: (text) => io.err.write(text),
      getOutHelpWidth: () => io.out.columns ?? 100,
      getErrHelpWidth: () => io.err.columns ?? 100,
      getOutHasColors: () => false,
      getErrHasColors: () => false,
    });
  program.examples = [
    '# start the control plane in the background, then run an image as its own identity',
    'actas up --detach',
    'actas iam service-accounts create hello-sa',
    'actas run jobs deploy hello --image=IMAGE --service-account=hello-sa',
    'actas run jobs execute hello --wait --logs',
  ];
  program.addHelpText('after', `\nExit codes:\n${EXIT_MEANINGS.map(([code, meaning]) => `  ${String(code).padEnd(4)} ${meaning}`).join('\n')}`);
  const all = only === undefined || !ENTRIES.some((entry) => entry.name === only);
  for (const entry of ENTRIES) {
    if (entry.name === only || (all && only === '*')) await (await entry.load())(program, shell);
    else program.command(entry.name).summary(entry.summary).description(entry.summary);
  }
  return program;
}

/** The top-level group that a line names; `*` where it needs the whole tree. */
export function groupOf(argv: readonly string[]): string | undefined {
  const word = words(argv)[0];
  return word === 'help' || word === 'completion' ? '*' : word;
}

/** The words of a line that are not flags, nor the values of common flags. */
function words(argv: readonly string[]): string[] {
  const found: string[] = [];
  for (let at = 0; at < argv.length; at += 1) {
    const word = argv[at] ?? '';
    if (word === '--') break;
    if (!word.startsWith('-')) found.push(word);
    else if (COMMON_FLAGS[word] === true) at += 1;
  }
  return found;
}

/** Where the first word stands that is no flag, nor the value of a common flag; behind the end where there is none. */
export function firstWordAt(argv: readonly string[]): number {
  let at = 0;
  for (; at < argv.length && argv[at]?.startsWith('-') === true; at += 1) if (COMMON_FLAGS[argv[at] ?? ''] === true) at += 1;
  return at;
}

/** The command that a line names, as far as it can be followed. */
export function findCommand(program: Command, argv: readonly string[]): Command {
  let command = program;
  for (const word of words(argv)) {
    const next = command.commands.find((candidate) => candidate.name() === word || candidate.aliases().includes(word));
    if (next === undefined) break;
    command = next;
  }
  return command;
}

/** Moves common flags that stand before the command's name behind it: `actas --project=p run jobs list`. */
export function hoistCommonFlags(program: Command, argv: readonly string[]): string[] {
  const depth = commandPath(findCommand(program, argv)).length;
  const before: string[] = [];
  const path: string[] = [];
  let at = 0;
  for (; at < argv.length && path.length < depth; at += 1) {
    const word = argv[at] ?? '';
    const takesValue = COMMON_FLAGS[word];
    if (!word.startsWith('-')) path.push(word);
    else if (takesValue === true) before.push(word, argv[(at += 1)] ?? '');
    else before.push(word);
  }
  return [...path, ...before, ...argv.slice(at)];
}
