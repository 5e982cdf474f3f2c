// The published program: our code and the libraries it uses in a few files, because opening several hundred small ones is most of a
// cold start. What loads native parts or is needed rarely stays a dependency. Types are made by tsc (build.sh).
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { rolldown } from 'rolldown';

const out = process.argv[2] ?? 'dist';
/** Libraries that stay outside: the engine's client, which tries native parts that we do not want, and is loaded for Docker alone. */
const EXTERNAL = ['dockerode'];

const bundle = await rolldown({
  input: { main: 'src/main.ts', config: 'src/config.ts', 'cli/main': 'src/cli/main.ts', 'log-worker': 'src/store/log-worker.ts' },
  platform: 'node',
  external: EXTERNAL,
  logLevel: 'warn',
});
const { output } = await bundle.write({
  dir: out,
  format: 'esm',
  entryFileNames: '[name].js',
  // All beside each other, so that what is found relative to a module (roles, the log thread) has one place.
  chunkFileNames: '[name]-[hash].js',
  comments: { legal: true },
});
await bundle.close();

const packages = new Set();
for (const chunk of output) {
  for (const id of chunk.type === 'chunk' ? chunk.moduleIds : []) {
    const found = /^(.*\/node_modules\/((?:@[^/]+\/)?[^/]+))\//.exec(id);
    if (found !== null) packages.add(found[1]);
  }
}
const notices = [...packages].sort().map((directory) => {
  const { name, version, license } = JSON.parse(readFileSync(join(directory, 'package.json'), 'utf8'));
  const file = readdirSync(directory).find((entry) => /^(licen[cs]e|copying)/i.test(entry));
  return `${name} ${version} (${license ?? 'see below'})\n\n${file !== undefined && existsSync(join(directory, file)) ? readFileSync(join(directory, file), 'utf8').trim() : 'No license file is in the package.'}\n`;
});
writeFileSync(join(out, 'THIRD-PARTY-LICENSES.txt'), `Libraries that are part of the files here, with their licenses.\n\n${notices.join(`\n${'-'.repeat(80)}\n\n`)}`);
console.error(`Bundled ${output.length} files with ${packages.size} libraries.`);
