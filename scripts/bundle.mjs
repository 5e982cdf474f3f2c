// The published program: our code and the libraries it uses in a few files, because opening several hundred small ones is most of a
// cold start. What loads native parts or is needed rarely stays a dependency. Types are made by tsc (build.sh).
import { existsSync, globSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { isBuiltin } from 'node:module';
import { join } from 'node:path';
import { rolldown } from 'rolldown';

const out = process.argv[2] ?? 'dist';
/**
 * Libraries that stay outside: the engine's client, which tries native parts that we do not want, and is loaded for Docker alone; and Google's
 * credentials, loaded where service accounts act as real ones.
 */
const EXTERNAL = ['dockerode', 'google-auth-library'];

/**
 * Node's own modules, taken through `process.getBuiltinModule`: an `import` of one reads all that it exports, and `node:http` exports
 * lazily loaded web clients that cost more than the rest of a start.
 */
const builtins = {
  name: 'builtins',
  resolveId: {
    order: 'pre',
    handler: (id, _importer, { kind }) =>
      kind === 'import-statement' && isBuiltin(id) && !/^(node:)?module$/.test(id)
        ? { id: `\0builtin:${id.startsWith('node:') ? id : `node:${id}`}`, moduleSideEffects: false }
        : undefined,
  },
  load(id) {
    if (!id.startsWith('\0builtin:')) return undefined;
    const name = id.slice('\0builtin:'.length);
    const module = process.getBuiltinModule(name);
    const keys = Object.keys(module).filter((key) => key !== 'default' && /^[A-Za-z_$][\w$]*$/.test(key));
    return `const module = process.getBuiltinModule(${JSON.stringify(name)});\nexport default module;\n${keys.map((key) => `const value_${key} = module.${key};\nexport { value_${key} as ${key} };`).join('\n')}\n`;
  },
};

/** commander starts programs for subcommands that are files of their own. We have none, and loading what starts them is felt at every start. */
const commander = {
  name: 'commander',
  transform: {
    filter: { id: /\/commander\/lib\/command\.js$/ },
    handler(code) {
      const eager = "const childProcess = require('node:child_process');";
      if (!code.includes(eager)) throw new Error('commander loads child_process in another way now: see scripts/bundle.mjs');
      return code.replace(eager, "const childProcess = { spawn: (...args) => process.getBuiltinModule('node:child_process').spawn(...args) };");
    },
  },
};

/**
 * What every start loads, in one file, because each file costs a start: all that `actas up` imports before it serves. What other commands
 * share with it is a second file, so that they need not load the first.
 */
function startChunks() {
  const imports = new Map();
  const reach = (seen, id) => {
    if (seen.has(id)) return seen;
    seen.add(id);
    for (const next of imports.get(id) ?? []) reach(seen, next);
    return seen;
  };
  const from = (...files) => files.reduce((seen, file) => reach(seen, join(process.cwd(), file)), new Set());
  let start;
  let others;
  return {
    plugin: { name: 'start-chunks', moduleParsed: ({ id, importedIds }) => void imports.set(id, importedIds) },
    groups: [
      {
        debugName: 'start',
        name: (id) => {
          start ??= from('src/cli/up.ts', 'src/main.ts');
          others ??= from(
            'src/cli/main.ts',
            'src/cli/cli.ts',
            'src/config.ts',
            ...globSync('src/cli/*/*.ts'),
            ...globSync('src/cli/*.ts').filter((file) => !/\/(?:up|up-flags)\.ts$|\.test\.ts$/.test(file)),
          );
          return start.has(id) ? (others.has(id) ? 'shared' : 'start') : null;
        },
      },
    ],
  };
}

/** @returns what was written for these entries */
async function write(input, { plugin, groups } = { groups: [] }) {
  const bundle = await rolldown({
    plugins: [builtins, commander, plugin],
    input,
    platform: 'node',
    external: EXTERNAL,
    logLevel: 'warn',
    treeshake: { propertyReadSideEffects: false },
  });
  const { output } = await bundle.write({
    dir: out,
    format: 'esm',
    codeSplitting: { groups },
    entryFileNames: '[name].js',
    // All beside each other, so that what is found relative to a module (roles, the log thread) has one place.
    chunkFileNames: '[name]-[hash].js',
    comments: { legal: true, jsdoc: false, annotation: false },
  });
  await bundle.close();
  return output;
}

const output = [
  ...(await write({ main: 'src/main.ts', config: 'src/config.ts', 'cli/main': 'src/cli/main.ts' }, startChunks())),
  // By itself: a thread that shared files with the rest would load with them what it does not need, and the start waits for it.
  ...(await write({ 'log-worker': 'src/store/log-worker.ts' })),
  // Runs in a container that has this file alone.
  ...(await write({ 'relay-program': 'src/runner/docker/relay-program.ts' })),
];
const relay = output.find((chunk) => chunk.fileName === 'relay-program.js');
if (relay?.imports.some((name) => output.some((chunk) => chunk.fileName === name))) throw new Error('relay-program.js must stand by itself.');

const packages = new Set();
for (const chunk of output) {
  for (const id of chunk.type === 'chunk' ? chunk.moduleIds : []) {
    const found = /^(.*\/node_modules\/((?:@[^/]+\/)?[^/]+))\//.exec(id);
    if (found !== null) packages.add(found[1]);
  }
}
const notices = [...packages]
  .toSorted((a, b) => (a < b ? -1 : 1))
  .map((directory) => {
    const { name, version, license } = JSON.parse(readFileSync(join(directory, 'package.json'), 'utf8'));
    const file = readdirSync(directory).find((entry) => /^(licen[cs]e|copying)/i.test(entry));
    return `${name} ${version} (${license ?? 'see below'})\n\n${file !== undefined && existsSync(join(directory, file)) ? readFileSync(join(directory, file), 'utf8').trim() : 'No license file is in the package.'}\n`;
  });
writeFileSync(join(out, 'THIRD-PARTY-LICENSES.txt'), `Libraries that are part of the files here, with their licenses.\n\n${notices.join(`\n${'-'.repeat(80)}\n\n`)}`);
console.error(`Bundled ${output.length} files with ${packages.size} libraries.`);
