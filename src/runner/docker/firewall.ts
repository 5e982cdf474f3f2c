/**
 * The packet rules of one data directory's bridge. It hides iptables; every rule carries a comment that names its owner, so that rules are replaced
 * as a whole, in one transaction for each table, and nobody else's are touched.
 *
 * What they say: a task that calls 169.254.169.254:80 reaches our metadata server, with its own source address, and nothing else of the link-local range
 * (the host may be a cloud machine with credentials of its own there), but for name servers; our ports answer this bridge only; nobody opens
 * a connection to a task, not even another task. Where tasks ask us for names, port 53 of the gateway is our name server, and port 443 of the metadata
 * address, for which Google's names stand, is the API. They stand in `mangle`, which the engine does not use, so the order in which an engine (re)writes its own rules in `filter` does not matter.
 */
import { execFile } from 'node:child_process';

export interface Ports {
  readonly metadata: number;
  readonly api: number;
  /** Absent where tasks ask somebody else for names. */
  readonly names?: { readonly udp: number; readonly tcp: number };
}

export interface BridgeRules {
  readonly bridge: string;
  readonly gateway: string;
  /** Absent where nobody listens (between two processes): then the metadata address leads nowhere. */
  readonly ports?: Ports;
}

type Table = 'nat' | 'mangle' | 'filter';
const TABLES: readonly Table[] = ['nat', 'mangle', 'filter'];
const METADATA = '169.254.169.254/32';
const LINK_LOCAL = '169.254.0.0/16';

/** In the order in which they are to stand. Exported for its test. */
export function rulesFor({ bridge, gateway, ports }: BridgeRules, comment: string): Record<Table, string[]> {
  const mark = `-m comment --comment ${comment}`;
  const names = ports?.names;
  const listeners: (readonly ['tcp' | 'udp', number])[] =
    ports === undefined ? [] : [['tcp', ports.metadata], ['tcp', ports.api], ...(names === undefined ? [] : [['udp', names.udp] as const, ['tcp', names.tcp] as const])];
  const lead = (destination: string, protocol: string, port: number, to: number) =>
    `PREROUTING -i ${bridge} -d ${destination} -p ${protocol} --dport ${port} ${mark} -j DNAT --to-destination ${gateway}:${to}`;
  return {
    nat: [
      ...(ports === undefined ? [] : [lead(METADATA, 'tcp', 80, ports.metadata)]),
      ...(ports === undefined || names === undefined
        ? []
        : [lead(METADATA, 'tcp', 443, ports.api), lead(`${gateway}/32`, 'udp', 53, names.udp), lead(`${gateway}/32`, 'tcp', 53, names.tcp)]),
    ],
    mangle: [
      ...listeners.map(([protocol, port]) => `INPUT ! -i ${bridge} -d ${gateway}/32 -p ${protocol} --dport ${port} ${mark} -j DROP`),
      `FORWARD -i ${bridge} -d ${LINK_LOCAL} -p tcp ! --dport 53 ${mark} -j DROP`,
      `FORWARD -i ${bridge} -d ${LINK_LOCAL} -p udp ! --dport 53 ${mark} -j DROP`,
      `FORWARD -i ${bridge} -o ${bridge} ${mark} -j DROP`,
      `FORWARD -o ${bridge} -m conntrack --ctstate NEW ${mark} -j DROP`,
    ],
    // Where the host's own firewall refuses what it does not know.
    filter: listeners.map(([protocol, port]) => `INPUT -i ${bridge} -d ${gateway}/32 -p ${protocol} --dport ${port} ${mark} -j ACCEPT`),
  };
}

/** Runs iptables-save or iptables-restore where the bridge is, and answers what it printed. */
export type RunTables = (program: 'iptables-save' | 'iptables-restore', args: readonly string[], input?: string) => Promise<string>;

/** Replaces all rules of this owner; none with undefined. @param scope the owner, `[0-9a-f]{8}` */
export async function applyRules(scope: string, rules: BridgeRules | undefined, run: RunTables = runHere): Promise<void> {
  const comment = `actas:${scope}`;
  const wanted: Record<Table, string[]> = rules === undefined ? { nat: [], mangle: [], filter: [] } : rulesFor(rules, comment);
  const script: string[] = [];
  for (const table of TABLES) {
    const present = ownRules(await run('iptables-save', ['-t', table]), comment);
    // -I puts each at the top, so the last one goes in first.
    const lines = [...present.map((rule) => `-D ${rule}`), ...wanted[table].toReversed().map((rule) => `-I ${rule}`)];
    if (lines.length > 0) script.push(`*${table}`, ...lines, 'COMMIT');
  }
  if (script.length > 0) await run('iptables-restore', ['--noflush', '-w', '10'], `${script.join('\n')}\n`);
}

/** The rules of iptables-save that carry the comment, without `-A `. */
export function ownRules(saved: string, comment: string): string[] {
  return saved
    .split('\n')
    .flatMap((line) => (line.startsWith('-A ') && (line.includes(`--comment ${comment} `) || line.includes(`--comment "${comment}"`)) ? [line.slice(3)] : []));
}

/** Why the rules cannot be set here; undefined where they can. */
export async function firewallObstacle(): Promise<string | undefined> {
  if (process.platform !== 'linux') return 'the host is not Linux';
  if (process.getuid?.() !== 0) return 'actas does not run as root';
  try {
    for (const table of TABLES) await runHere('iptables-save', ['-t', table]);
    return undefined;
  } catch (error) {
    return `iptables does not work here (${error instanceof Error ? error.message : String(error)}); on Debian: apt-get install iptables`;
  }
}

function runHere(program: string, args: readonly string[], input?: string): Promise<string> {
  return new Promise((resolve, reject) => {
    // A path of our own: these live in sbin, which is not on everybody's PATH, and nothing of the user's environment concerns them.
    const child = execFile(program, args, { env: { PATH: '/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin' }, maxBuffer: 64 * 2 ** 20 }, (error, stdout, stderr) => {
      if (error === null) resolve(stdout);
      else reject(new Error(`${program}: ${stderr.trim() || error.message}`, { cause: error }));
    });
    child.stdin?.on('error', () => undefined);
    child.stdin?.end(input ?? '');
  });
}
