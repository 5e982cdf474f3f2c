/** What a reader of the documentation relies on: links lead somewhere, no page is an orphan, and lists of what the program does are true. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative, resolve } from 'node:path';
import { PassThrough } from 'node:stream';
import { describe, expect, test } from 'vitest';
import { CliCommand } from '../src/cli/command.ts';
import { buildProgram, findCommand } from '../src/cli/program.ts';
import { loadConfig } from '../src/config.ts';
import { startServer } from '../src/main.ts';
import { allServices } from './harness/sample-requests.ts';

const ROOT = resolve(import.meta.dirname, '..');
const pages: readonly string[] = [
  ...readdirSync(ROOT).filter((name) => name.endsWith('.md')),
  ...['docs', 'examples'].flatMap((folder) =>
    readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.md') && !name.includes('node_modules'))
      .map((name) => join(folder, name)),
  ),
].sort();

interface Link {
  readonly from: string;
  readonly target: string;
}

function linksOf(page: string): Link[] {
  // Code is no prose: what looks like a link there is none.
  const prose = readFileSync(join(ROOT, page), 'utf8')
    .replace(/^(```|~~~)[\s\S]*?^\1/gm, '')
    .replace(/`[^`\n]*`/g, '');
  return [...prose.matchAll(/\]\(([^)\s]+)(?:\s+"[^"]*")?\)/g)].map((match) => ({ from: page, target: match[1] ?? '' })).filter((link) => !/^(https?:|mailto:)/.test(link.target));
}

/** The lines of shell code that call the program, without comments. */
function commandsOf(page: string): string[] {
  const blocks = readFileSync(join(ROOT, page), 'utf8').matchAll(/^```sh\n([\s\S]*?)^```/gm);
  return [...blocks].flatMap(([, code = '']) =>
    code
      .split(/\n| (?:\|\||&&|\|) /)
      .filter((line) => line.startsWith('actas '))
      .map((line) => line.replace(/\s+#.*$/, '')),
  );
}

/** The anchors of a page, as GitHub makes them from headings. */
function anchorsOf(file: string): ReadonlySet<string> {
  const headings = readFileSync(file, 'utf8')
    .replace(/^(```|~~~)[\s\S]*?^\1/gm, '')
    .matchAll(/^#{1,6}\s+(.+)$/gm);
  return new Set(
    [...headings].map((match) =>
      (match[1] ?? '')
        .toLowerCase()
        .replace(/[^\p{L}\p{N}\s_-]/gu, '')
        .trim()
        .replace(/\s/g, '-'),
    ),
  );
}

describe('documentation', () => {
  const links = pages.flatMap(linksOf);

  test('sees the pages', () => {
    expect(pages.length).toBeGreaterThan(15);
    expect(links.length).toBeGreaterThan(30);
  });

  test('relative links resolve, with their anchors', () => {
    const broken = links.filter(({ from, target }) => {
      const [path = '', anchor] = target.split('#');
      const file = path === '' ? join(ROOT, from) : resolve(ROOT, dirname(from), path);
      if (!existsSync(file)) return true;
      return anchor !== undefined && file.endsWith('.md') && !anchorsOf(file).has(anchor);
    });
    expect(broken.map(({ from, target }) => `${from} -> ${target}`)).toEqual([]);
  });

  test('every page is linked from another', () => {
    const linked = new Set(links.map(({ from, target }) => relative(ROOT, resolve(ROOT, dirname(from), target.split('#')[0] ?? ''))));
    expect(pages.filter((page) => page !== 'README.md' && !linked.has(page))).toEqual([]);
  });

  test('commands that are shown exist, with their flags, and accounts that they create have an id that is taken', async () => {
    const sink = { write() {}, isTTY: false, columns: undefined, stream: new PassThrough() };
    const program = await buildProgram({ io: { env: {}, out: sink, err: sink, stdin: new PassThrough(), onInterrupt: () => () => {} }, exitCode: 0 }, '*');
    const lines = pages.flatMap(commandsOf);
    expect(lines.length).toBeGreaterThan(30);
    const wrong = lines.filter((line) => {
      const words = line.split(/\s+/).slice(1);
      const command = findCommand(program, words);
      const flags = words.flatMap((word) => /^--[a-z][a-z-]*/.exec(word) ?? []);
      const account = /service-accounts create (\S+)/.exec(line)?.[1];
      // What stands behind it belongs to another program.
      if (command instanceof CliCommand && command.passesOn) return false;
      const isGroup = command.commands.length > 0 && !flags.includes('--help');
      const hasUnknown = flags.some((flag) => flag !== '--help' && flag !== '--version' && !command.options.some((option) => option.long === flag));
      return isGroup || hasUnknown || (account !== undefined && !/^[a-z][-a-z0-9]{4,28}[a-z0-9]$/.test(account));
    });
    expect(wrong).toEqual([]);
  });

  test('errors.md lists exactly the methods that answer 501', async () => {
    const dataDir = mkdtempSync(join(tmpdir(), 'actas-docs-'));
    const server = await startServer(loadConfig({ dataDir, port: 0, driver: 'fake', logLevel: 'silent' }, {}));
    const actual = (await allServices(await server.apis())).flatMap(({ host, desc, methods }) => {
      const names = desc.methods.filter((method) => methods[method.localName] === 'unimplemented').map((method) => method.name);
      return names.length === 0 ? [] : [`${host} ${desc.typeName} ${names.length === desc.methods.length ? 'all' : names.sort().join(' ')}`];
    });
    await server.close();
    rmSync(dataDir, { recursive: true, force: true });
    const rows = readFileSync(join(ROOT, 'docs/errors.md'), 'utf8').matchAll(/^\| `([a-z.]+)` \| `([\w.]+)` \| (.+) \|$/gm);
    const listed = [...rows].map(([, host, service, methods = '']) => `${host} ${service} ${methods.replaceAll('`', '').split(', ').sort().join(' ')}`);
    // Two APIs of one host may have operations of their own.
    expect(listed.sort()).toEqual([...new Set(actual)].sort());
  });

  test('the seed in examples/ can be applied, and applied again', async () => {
    const dataDir = mkdtempSync(join(tmpdir(), 'actas-docs-'));
    for (let start = 0; start < 2; start += 1) {
      const server = await startServer(loadConfig({ dataDir, port: 0, driver: 'fake', logLevel: 'silent', seed: join(ROOT, 'examples/seed.yaml') }, {}));
      const answer = await fetch(`${server.url}/run.googleapis.com/v2/projects/shop-prod/locations/europe-west1/jobs/nightly-report`, {
        headers: { authorization: `Bearer ${readFileSync(server.tokenFile, 'utf8').trim()}`, connection: 'close' },
      });
      expect(await answer.json()).toMatchObject({ generation: '1', template: { template: { serviceAccount: 'nightly-report@shop-prod.iam.gserviceaccount.com' } } });
      await server.close();
    }
    rmSync(dataDir, { recursive: true, force: true });
  });
});
