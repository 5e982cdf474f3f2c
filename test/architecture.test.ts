/** The house rules that a machine can hold: who may import whom, where SQL and process state may stand, how long files may be. */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { describe, expect, test } from 'vitest';

const ROOT = resolve(import.meta.dirname, '..');
const SRC = join(ROOT, 'src');

/** Modules that every room may import: they know nothing of any room. */
const LEAVES = ['errors.ts', 'rpc-status.ts', 'timestamp.ts', 'page-token.ts', 'resource-name.ts', 'quantity.ts', 'version.ts', 'crc32c.ts'];

/** Room -> what of ours it may import, beside itself, the leaves and gen/. A room is a folder, or a file named in full. */
const ARROWS: Record<string, readonly string[]> = {
  'main.ts': ['*'],
  compose: ['*'],
  'config.ts': ['identity'],
  seed: ['services', 'store', 'policy', 'identity'],
  // `run jobs check --live` needs no control plane: it asks the questions of services/run itself, and Google answers. `import` reads what a start reads, by the same rules.
  cli: [
    'config.ts',
    'main.ts',
    'server/status-file.ts',
    // Which names are Google's.
    'identity/front-names.ts',
    // Which accounts act as real ones.
    'identity/google-account.ts',
    'offline',
    'policy',
    'seed/seed.ts',
    'services/run/check-job.ts',
    'services/run/constraints.ts',
    'services/run/question.ts',
    'services/untold.ts',
  ],
  offline: ['policy', 'seed/seed.ts'],
  server: ['services/service.ts', 'identity', 'policy'],
  metadata: ['services/service.ts', 'identity', 'policy'],
  services: ['policy', 'identity', 'store', 'runner/driver.ts'],
  runner: ['policy', 'identity', 'store', 'runner/driver.ts'],
  policy: [],
  identity: [],
  store: [],
};

interface Module {
  readonly path: string;
  readonly text: string;
  readonly imports: readonly string[];
}

const modules: readonly Module[] = readdirSync(SRC, { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.ts') && !name.startsWith('gen/') && !name.endsWith('.d.ts'))
  .sort()
  .map((path) => {
    const text = readFileSync(join(SRC, path), 'utf8');
    const imports = [...text.matchAll(/(?:from|import)\s*\(?\s*'(\.{1,2}\/[^']+)'/g)].map((m) => relative(SRC, resolve(SRC, dirname(path), m[1] ?? '')));
    return { path, text, imports };
  });
const shipped = modules.filter((m) => !m.path.endsWith('.test.ts') && !m.path.endsWith('-contract.ts'));

function room(path: string): string {
  return path.includes('/') ? (path.split('/')[0] ?? path) : path;
}

describe('architecture', () => {
  test('sees the house', () => {
    expect(shipped.length).toBeGreaterThan(60);
    for (const name of Object.keys(ARROWS))
      expect(
        modules.some((m) => room(m.path) === name),
        `no module in room ${name}`,
      ).toBe(true);
    expect(modules.reduce((sum, m) => sum + m.imports.length, 0)).toBeGreaterThan(150);
  });

  test('every module stands in a room', () => {
    expect(shipped.map((m) => room(m.path)).filter((name) => !(name in ARROWS) && !LEAVES.includes(name))).toEqual([]);
  });

  test('arrows point down', () => {
    const wrong = shipped.flatMap((m) =>
      m.imports
        .filter((target) => !target.startsWith('gen/') && !LEAVES.includes(target))
        .filter((target) => room(target) !== room(m.path))
        .filter((target) => {
          const allowed = ARROWS[room(m.path)] ?? [];
          return !allowed.includes('*') && !allowed.includes(target) && !allowed.includes(room(target));
        })
        .map((target) => `${m.path} -> ${target}`),
    );
    expect(wrong).toEqual([]);
  });

  test('siblings never import each other: services, drivers', () => {
    const sibling = (path: string, parent: string) => (path.startsWith(`${parent}/`) && path.split('/').length > 2 ? path.split('/')[1] : undefined);
    const wrong = shipped.flatMap((m) =>
      ['services', 'runner'].flatMap((parent) => {
        const own = sibling(m.path, parent);
        return own === undefined
          ? []
          : m.imports
              .filter((target) => {
                const other = sibling(target, parent);
                return other !== undefined && other !== own;
              })
              .map((target) => `${m.path} -> ${target}`);
      }),
    );
    expect(wrong).toEqual([]);
  });

  test('an API is loaded by its first request: nothing imports its folder but by import(), its types and its outline', () => {
    const folder = (path: string) => /^services\/[^/]+\//.exec(path)?.[0];
    // A seed is applied by few starts, and loaded by those.
    const early = shipped.filter((m) => room(m.path) !== 'seed');
    const wrong = early.flatMap((m) =>
      [...m.text.matchAll(/^(?:import|export) (type )?[^;]*?from '(\.{1,2}\/[^']+)'/gm)]
        .filter(([, isType]) => isType === undefined)
        .map((found) => relative(SRC, resolve(SRC, dirname(m.path), found[2] ?? '')))
        .filter((target) => folder(target) !== undefined && folder(target) !== folder(m.path) && !target.endsWith('-outline.ts'))
        .map((target) => `${m.path} -> ${target}`),
    );
    expect(wrong).toEqual([]);
  });

  test('a start loads no descriptor and few libraries: whatever main.ts or `actas up` imports, all wait for', () => {
    const start = new Set<string>();
    const libraries = new Set<string>();
    const visit = (path: string): void => {
      const found = modules.find((m) => m.path === path);
      if (start.has(path)) return;
      start.add(path);
      for (const [, isType, target = ''] of found?.text.matchAll(/^(?:import|export) (type )?[^;]*?from '([^']+)'/gm) ?? []) {
        if (isType !== undefined) continue;
        if (target.startsWith('.')) visit(relative(SRC, resolve(SRC, dirname(path), target)));
        else libraries.add(target);
      }
    };
    for (const entry of ['main.ts', 'cli/main.ts', 'cli/up.ts']) visit(entry);
    expect(start.size).toBeGreaterThan(30);
    expect([...start].filter((path) => path.startsWith('gen/'))).toEqual([]);
    // The web server and the threads are loaded by who uses them.
    expect([...libraries].filter((name) => !name.startsWith('node:') || ['node:http', 'node:http2', 'node:worker_threads', 'node:child_process'].includes(name))).toEqual([
      'kysely',
    ]);
  });

  test('SQL stands in store/ alone, container clients in their driver, connect in server/', () => {
    const uses = (name: RegExp, where: (path: string) => boolean) => shipped.filter((m) => name.test(m.text) && !where(m.path)).map((m) => m.path);
    expect(uses(/from 'kysely'|from 'node:sqlite'/, (p) => p.startsWith('store/'))).toEqual([]);
    expect(uses(/from 'dockerode'/, (p) => p.startsWith('runner/docker/'))).toEqual([]);
    expect(uses(/from '@connectrpc\//, (p) => p.startsWith('server/'))).toEqual([]);
  });

  test('process state is touched in main, config and cli alone', () => {
    const wrong = shipped.filter((m) => /process\.(env|exit)\b/.test(m.text) && !(m.path === 'main.ts' || m.path === 'config.ts' || m.path.startsWith('cli/'))).map((m) => m.path);
    expect(wrong).toEqual([]);
  });

  test('files stay short and have a name of their own', () => {
    const long = modules.filter((m) => m.text.split('\n').length > (m.path.endsWith('.test.ts') ? 600 : 401)).map((m) => `${m.path}: ${m.text.split('\n').length}`);
    expect(long).toEqual([]);
    expect(modules.filter((m) => /(^|\/)(index|utils?|helpers?|common|shared|types|core|lib)(\.ts|\/)/.test(m.path)).map((m) => m.path)).toEqual([]);
    expect(modules.filter((m) => !/^[a-z0-9-]+(\.test)?\.ts$/.test(m.path.split('/').at(-1) ?? '')).map((m) => m.path)).toEqual([]);
  });
});
