#!/usr/bin/env node
// Starts the command-line program with a Node that can run it. Plain JavaScript that Node 18 understands, so that an old
// Node says what is missing instead of a syntax error. The npm package `node`, a dependency, brings a Node of its own.
import module, { createRequire } from 'node:module';

// Not imported: an import of node:fs reads all that it exports, and with it loads what a start does not need.
const require = createRequire(import.meta.url);
const { existsSync } = require('node:fs');
const { dirname, join, sep } = require('node:path');
const { fileURLToPath, pathToFileURL } = require('node:url');

const NEEDED = 24;
// Not in Node 20 and older, which must be able to read this file.
const { enableCompileCache } = module;
// node:sqlite is announced as experimental by Node 24 and 25; the announcement helps nobody who starts a control plane.
const FLAGS = ['--disable-warning=ExperimentalWarning'];

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const compiled = join(root, 'dist', 'cli', 'main.js');
const source = join(root, 'src', 'cli', 'main.ts');
// Node strips no types under node_modules, and a clone runs what is being edited, not what was last built.
const useCompiled = existsSync(compiled) && (root.split(sep).includes('node_modules') || !existsSync(source));
const entry = useCompiled ? compiled : source;
const args = process.argv.slice(2);
const major = Number(process.versions.node.split('.')[0]);

if (!existsSync(entry)) fail(`The program is missing at ${entry}.`, 'Install the package again, or run `npm run build` in the clone.');
else if (major < NEEDED) respawn(nodeOfPackage());
else if (startsServer() && major < 26 && !process.execArgv.includes(FLAGS[0])) respawn(process.execPath);
else {
  if (useCompiled) keepCompiledCode();
  await import(pathToFileURL(entry).href);
}

/** Only the control plane opens a database, and only it is worth a second process for a quiet start. */
function startsServer() {
  return args.find((word) => !word.startsWith('-')) === 'up';
}

/** The next start needs not compile again. In the user's own cache folder: others must not be able to write what we run. */
function keepCompiledCode() {
  const cache = process.env.XDG_CACHE_HOME || (process.env.HOME && join(process.env.HOME, '.cache'));
  if (cache && process.env.NODE_COMPILE_CACHE === undefined) enableCompileCache?.(join(cache, 'actas'));
}

function nodeOfPackage() {
  try {
    const path = require.resolve('node/bin/node');
    if (existsSync(path)) return path;
  } catch {
    // Not installed: said below.
  }
  return undefined;
}

function respawn(binary) {
  if (binary === undefined) {
    fail(
      `actas needs Node ${NEEDED} or later, and this is Node ${process.versions.node}.`,
      'Run `npm install` here, which brings one of its own, or install it from https://nodejs.org',
    );
    return;
  }
  // Loaded here: most starts need no second process.
  const { spawn } = require('node:child_process');
  const child = spawn(binary, [...FLAGS, entry, ...args], { stdio: 'inherit' });
  // Ctrl-C at a terminal reaches the child by itself, as it is in the same process group; handing it on would make two of it.
  const signals = process.stdin.isTTY ? ['SIGTERM', 'SIGHUP', 'SIGQUIT'] : ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT'];
  for (const signal of signals) process.on(signal, () => child.kill(signal));
  if (process.stdin.isTTY) process.on('SIGINT', () => {});
  child.on('error', (error) => fail(`Cannot start ${binary}: ${error.message}`));
  child.on('exit', (code, signal) => {
    if (signal === null) process.exit(code === null ? 1 : code);
    for (const each of [...signals, 'SIGINT']) process.removeAllListeners(each);
    process.kill(process.pid, signal);
  });
}

function fail(...lines) {
  for (const line of lines) console.error(line);
  process.exitCode = 1;
}
