/**
 * `actas completion bash|zsh|fish`: a script that completes commands and flags by itself, without starting this program
 * at every key. All three scripts share one idea: the words typed so far that are commands give a path, and the path its words.
 */
import { Argument, type Command } from 'commander';
import { type CliCommand, commandPath, defineCommand, onRun, type Shell } from './command.ts';

interface Words {
  /** `run jobs`; empty for the program. */
  readonly path: string;
  readonly words: readonly { readonly word: string; readonly summary: string }[];
}

export function registerCompletion(program: Command, shell: Shell): void {
  const completion: CliCommand = defineCommand(program, 'completion', {
    summary: 'print a completion script for a shell',
    examples: ['source <(actas completion bash)', 'actas completion zsh > "${fpath[1]}/_actas"', 'actas completion fish > ~/.config/fish/completions/actas.fish'],
  });
  completion.addArgument(new Argument('<shell>', 'bash, zsh or fish').choices(['bash', 'zsh', 'fish']));
  onRun(completion, shell, async (session, wanted) => {
    const tree = collectWords(program);
    session.terminal.printRaw(wanted === 'bash' ? bash(tree) : wanted === 'zsh' ? zsh(tree) : fish(tree));
  });
}

/** Every command that can be typed, with what can follow it. */
export function collectWords(command: Command): Words[] {
  const help = command.createHelp();
  const children = help.visibleCommands(command).filter((child) => child.name() !== 'help');
  const commands = children.map((child) => ({ word: child.name(), summary: child.summary() }));
  const flags = help.visibleOptions(command).flatMap((option) => (option.long === undefined || option.long === null ? [] : [{ word: option.long, summary: option.description }]));
  return [{ path: commandPath(command).join(' '), words: [...commands, ...flags] }, ...children.flatMap((child) => collectWords(child))];
}

const NOTE = '# Completion of actas. Made by `actas completion`.';

function cases(tree: readonly Words[]): string {
  return tree.map(({ path, words }) => `    ${quote(path)}) words=${quote(words.map(({ word }) => word).join(' '))} ;;`).join('\n');
}

function paths(tree: readonly Words[]): string {
  return tree.map(({ path }) => quote(` ${path} `)).join('|');
}

function bash(tree: readonly Words[]): string {
  return `${NOTE}
_actas() {
  local path='' word words=''
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case " \${path:+$path }$word " in
${indent(paths(tree))}) path="\${path:+$path }$word" ;;
    esac
  done
  case "$path" in
${cases(tree)}
  esac
  COMPREPLY=($(compgen -W "$words" -- "\${COMP_WORDS[COMP_CWORD]}"))
  [ \${#COMPREPLY[@]} -gt 0 ] || COMPREPLY=($(compgen -f -- "\${COMP_WORDS[COMP_CWORD]}"))
}
complete -F _actas actas
`;
}

function zsh(tree: readonly Words[]): string {
  return `#compdef actas
${NOTE}
_actas() {
  local path_='' word words_=''
  for word in "\${words[@]:1:$((CURRENT - 2))}"; do
    case " \${path_:+$path_ }$word " in
${indent(paths(tree))}) path_="\${path_:+$path_ }$word" ;;
    esac
  done
  case "$path_" in
${cases(tree).replaceAll(') words=', ') words_=')}
  esac
  compadd -- \${=words_} || _files
}
if [ "$funcstack[1]" = "_actas" ]; then _actas "$@"; else compdef _actas actas; fi
`;
}

function fish(tree: readonly Words[]): string {
  const known = tree.map(({ path }) => quoteFish(` ${path} `)).join(' ');
  const blocks = tree.map(({ path, words }) => `    case ${quoteFish(path)}\n      printf '%s\\n' ${words.map(({ word, summary }) => quoteFish(`${word}\t${summary}`)).join(' ')}`);
  return `${NOTE}
function __actas_words
  set -l path
  for word in (commandline -opc)[2..-1]
    contains -- " "(string join -- ' ' $path $word)" " ${known}; and set path $path $word
  end
  switch "$path"
${blocks.join('\n')}
  end
end
complete -c actas -a '(__actas_words)'
# Where commands can follow, files cannot.
complete -c actas -f -n 'string match -qv -- "-*" (__actas_words)'
`;
}

function indent(text: string): string {
  return `      ${text}`;
}

function quote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

function quoteFish(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
}
