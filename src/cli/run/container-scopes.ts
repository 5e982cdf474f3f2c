/**
 * gcloud's way to give flags for several containers: `--container=NAME` begins the flags of that container, and what concerns the whole
 * command stands before the first of them. Without it the flags are about the only container, or the main one.
 */
import { Option } from 'commander';
import { CliCommand, COMMON_FLAGS } from '../command.ts';
import { usageFailure } from '../failure.ts';

const MOST_CONTAINERS = 10;

/** The flags behind one `--container`. */
export interface ContainerScope<F> {
  readonly name: string;
  readonly flags: F;
}

/** Whether other flags of the command may stand behind a `--container` too. */
type Order = 'job flags first' | 'any order';

/**
 * Adds the options to a command, and `--container`; what stands behind each is in the flag `containers`, as `ContainerScope`s.
 * @param options makes them anew: those behind a `--container` are read by themselves
 */
export function scopeByContainer(command: CliCommand, options: () => Option[], order: Order): CliCommand {
  const scoped = options();
  for (const option of scoped) command.addOption(option);
  const place = order === 'any order' ? '' : ', and stands behind the flags of the job itself';
  command.addOption(new Option('--container <name>', `the container that the flags behind it are about, for jobs of several; may be repeated${place}`));
  const parseOptions = command.parseOptions.bind(command);
  command.parseOptions = (argv) => {
    const { own, scopes } = splitScopes(argv);
    if (scopes.length === 0) return parseOptions(argv);
    for (const option of scoped)
      if (own.some((word) => word === option.long || word.startsWith(`${option.long}=`)))
        throw usageFailure(`${option.long} is a flag of a container: with --container it must stand behind the one that it is for.`);
    const parsed = scopes.map((scope) => parseScope(command, scope, options(), order));
    command.setOptionValue(
      'containers',
      parsed.map(({ scope }) => scope),
    );
    return parseOptions([...own, ...parsed.flatMap(({ rest }) => rest)]);
  };
  return command;
}

interface Scope {
  readonly name: string;
  readonly words: string[];
}

function splitScopes(argv: readonly string[]): { own: string[]; scopes: Scope[] } {
  const own: string[] = [];
  const scopes: Scope[] = [];
  let current = own;
  for (let at = 0; at < argv.length; at += 1) {
    const word = argv[at] ?? '';
    const name = word === '--container' ? (argv[(at += 1)] ?? '') : /^--container=(.*)$/s.exec(word)?.[1];
    if (name === undefined) current.push(word);
    else {
      if (name === '') throw usageFailure('--container needs the name of a container.');
      // Given again it goes on with the same container, as in gcloud.
      const before = scopes.find((scope) => scope.name === name);
      const scope = before ?? { name, words: [] };
      if (before === undefined) scopes.push(scope);
      current = scope.words;
    }
  }
  if (scopes.length > MOST_CONTAINERS) throw usageFailure(`A job has at most ${MOST_CONTAINERS} containers, and ${scopes.length} are given by --container.`);
  return { own, scopes };
}

/** @returns with what was no flag of a container: common flags, and arguments of the command */
function parseScope(command: CliCommand, { name, words }: Scope, options: readonly Option[], order: Order): { scope: ContainerScope<object>; rest: string[] } {
  const parser = new CliCommand(command.name());
  parser.copyInheritedSettings(command);
  parser.exitOverride().helpOption(false).allowExcessArguments();
  for (const option of options) parser.addOption(option);
  const rest: string[] = [];
  const mine: string[] = [];
  for (let at = 0; at < words.length; at += 1) {
    const word = words[at] ?? '';
    const [flag = ''] = word.split('=', 1);
    const option = parser.options.find(({ long }) => long === flag);
    const other = command.options.find(({ long, short }) => long === flag || short === flag);
    if (option === undefined && other !== undefined && order !== 'any order' && !(flag in COMMON_FLAGS))
      throw usageFailure(`${flag} is a flag of the job: it must stand before the first --container.`);
    const isOthers = option === undefined && (other !== undefined || !flag.startsWith('-') || flag === '--help' || flag === '-h');
    const target = isOthers ? rest : mine;
    target.push(word);
    if ((option ?? other)?.required === true && word === flag && at + 1 < words.length) target.push(words[(at += 1)] ?? '');
  }
  parser.action(() => undefined).parse(mine, { from: 'user' });
  return { scope: { name, flags: parser.opts() }, rest };
}
