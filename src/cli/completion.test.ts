/** The completion scripts, run by the shells that they are for; where a shell is not installed its cases are skipped, by name. */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { run } from './test-shell.ts';

let dir: string;
beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'completion-'));
  for (const shell of ['bash', 'zsh', 'fish']) writeFileSync(join(dir, shell === 'zsh' ? '_actas' : `actas.${shell}`), (await run(['completion', shell])).out);
  writeFileSync(join(dir, 'some-file'), '');
});
afterAll(() => rmSync(dir, { recursive: true }));

const words = (line: string) =>
  line
    .split(' ')
    .map((word) => `'${word}'`)
    .join(' ');

/** How each shell is asked what can follow a line. */
const SHELLS: Readonly<Record<string, (line: string) => readonly string[]>> = {
  bash: (line) => ['--norc', '-c', `source ./actas.bash; COMP_WORDS=(${words(line)}); COMP_CWORD=${line.split(' ').length - 1}; _actas; printf '%s\\n' "\${COMPREPLY[@]}"`],
  // The functions that the completion system calls it with are stood in for, so that what it offers can be seen; itself it is loaded as a user loads it.
  zsh: (line) => [
    '-f',
    '-c',
    `fpath=("$PWD" $fpath); autoload -Uz compinit && compinit -u -d ./dump; [ "$_comps[actas]" = _actas ] || exit 3
     compadd() { shift; local word found=1; for word in "$@"; do [[ "$word" == "\${words[CURRENT]}"* ]] && { print -r -- "$word"; found=0; }; done; return $found; }
     _files() { print -l -- *; }
     words=(${words(line)}); CURRENT=\${#words}; _actas; _actas`,
  ],
  fish: (line) => ['--no-config', '-c', `source ./actas.fish; complete -C "${line}"`],
};

describe.each(Object.entries(SHELLS))('%s', (shell, ask) => {
  const isThere = isInstalled(shell);
  const offered = (line: string) =>
    new Set(
      execFileSync(shell, ask(line), { cwd: dir, encoding: 'utf8', env: { ...process.env, HOME: dir } })
        .trim()
        .split('\n')
        // In fish a word has its meaning behind a tab.
        .map((answer) => answer.split('\t')[0] ?? ''),
    );

  it.skipIf(!isThere)('takes the script without a complaint', () => {
    const { status, stderr } = spawnSync(shell, ['-n', shell === 'zsh' ? '_actas' : `actas.${shell}`], { cwd: dir, encoding: 'utf8' });
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  });

  it.skipIf(!isThere).each<[string, readonly string[], readonly string[]]>([
    ['actas run jobs ', ['create', 'execute', 'list', 'executions'], ['describe-latest', 'up', 'some-file']],
    ['actas ru', ['run'], ['up']],
    ['actas run jobs execute hello --wa', ['--wait'], ['--tasks']],
    ['actas iam service-accounts add-iam-policy-binding --m', ['--member'], ['--memory']],
    // A word that is no command does not lose the way.
    ['actas run jobs executions describe x --fo', ['--format'], []],
    ['actas up --seed some-f', ['some-file'], []],
  ])('%s', (line, expected, others) => {
    const found = offered(line);
    for (const word of expected) expect(found).toContain(word);
    for (const word of others) expect(found).not.toContain(word);
  });
});

function isInstalled(shell: string): boolean {
  try {
    execFileSync(shell, ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}
