/** The flags of `actas up`, and the quick way to read them: loading what reads every other line is a good part of a start. */

/** In commander's notation, with what the help says. */
export const UP_FLAGS: readonly (readonly [flag: string, description: string])[] = [
  ['--data-dir <dir>', 'where state lives (default: ~/.local/share/actas)'],
  ['--host <address>', 'address to listen on (default: 127.0.0.1)'],
  ['--port <number>', 'port to listen on; 0 picks a free one (default: 8787)'],
  ['--driver <name>', 'what runs containers: docker, or fake, which runs nothing (default: docker)'],
  ['--project <id>', 'the project that commands use when they name none (default: demo)'],
  ['--owner <principal>', 'whose token the first start writes (default: user:owner@example.com)'],
  ['--seed <file>', 'YAML that declares organizations, projects, accounts, policies, images and jobs'],
  ['--config <file>', 'YAML with these settings (default: config.yaml in the data directory)'],
  ['--ready-file <file>', 'written once the API serves: {"url","tokenFile"}'],
  ['--detach', 'return once it serves; `actas stop` ends it'],
  ['--anonymous-as <principal...>', 'take callers without a token for this principal (loopback only); repeat it for one that may set IAM policies'],
  ['--allowed-host <names...>', 'further names under which this server may be addressed'],
  ['--no-egress', 'as a proxy, refuse hosts that are not of Google APIs (these always end here)'],
  ['--oidc-issuer <url>', 'take ID tokens of this OpenID Connect provider as bearer tokens, for people who sign in there'],
  ['--oidc-audience <audience>', 'the audience that those ID tokens must have'],
  ['--oidc-email-claim <claim>', 'the claim that holds the address (default: email)'],
  ['--oidc-groups-claim <claim>', "the claim that holds groups' addresses (default: none)"],
  ['--trusted-issuer <urls...>', 'issuers that may have a private address, or speak http'],
  ['--issue-tokens <boolean>', "false: no tokens for others, not even for who holds the owner's token: --as ends (default: true)"],
  ['--images <reference=target...>', 'use a local image, an archive or a mirror for a reference'],
  ['--strict-resources', 'refuse tasks that ask for more CPU or memory than this machine has'],
  ['--secrets-key-file <file>', 'the keys that payloads of secrets are encrypted under, mode 600 (default: secrets-key in the data directory)'],
  ['--max-running-attempts <number>', 'attempts that may run at once (default: from the processors)'],
  ['--max-jobs <number>', 'jobs in one project and region, 1000 on Cloud Run (default: no limit)'],
  ['--max-running-executions <number>', 'executions in one project and region that have not ended, 1000 on Cloud Run (default: no limit)'],
  ['--task-network <kind>', 'auto, address, relay or hostname: how tasks reach the metadata server (default: auto)'],
  ['--relay-image <image>', 'image with node and iptables for the relay, where one is needed (default: actas, if the engine has it)'],
  ['--no-task-google-names', "leave Google's API names in tasks alone, which otherwise lead them here"],
  ['--task-name-server <addresses...>', 'name servers for all other names of tasks (default: those of the machine where the engine runs)'],
  ['--kill-on-stop', 'kill running containers at a stop instead of leaving them to the next start'],
  ['--log-level <level>', 'trace, debug, info, warn, error or silent (default: info)'],
  ['--log-format <format>', 'text or json (default: text)'],
];

/**
 * @param words of the line after `up`
 * @returns flags as commander gives them, or undefined where the line is not of plain flags, each once: whoever reads it then says what is wrong, or helps
 */
export function readUpFlags(words: readonly string[]): Readonly<Record<string, string | boolean>> | undefined {
  const known = new Map(UP_FLAGS.map(([notation]) => notation.split(' ')).map(([name = '', value]) => [name, value]));
  // commander takes `--no-egress` for the opposite of an `--egress` that is there.
  const flags: Record<string, string | boolean> = Object.fromEntries([...known.keys()].filter((name) => name.startsWith('--no-')).map((name) => [keyOf(name), true]));
  const seen = new Set<string>();
  for (let at = 0; at < words.length; at += 1) {
    const [, name = '', given] = /^(--[a-z-]+)(?:=(.*))?$/s.exec(words[at] ?? '') ?? [];
    const takes = known.get(name);
    const key = keyOf(name);
    if (!known.has(name) || seen.has(key) || takes?.endsWith('...>') === true) return undefined;
    seen.add(key);
    if (takes === undefined) {
      if (given !== undefined) return undefined;
      flags[key] = !name.startsWith('--no-');
      continue;
    }
    const value = given ?? words[(at += 1)];
    if (value === undefined || (given === undefined && value.startsWith('-'))) return undefined;
    flags[key] = value;
  }
  return flags;
}

function keyOf(name: string): string {
  return name.replace(/^--(?:no-)?/, '').replace(/-(.)/g, (_match, letter: string) => letter.toUpperCase());
}
