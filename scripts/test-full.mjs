/**
 * `npm run test:full`: the suites that need other runtimes than `npm test` has, or take longer. Each prints its own lines and closes with its counts; the
 * last line here sums them. A suite whose program is not on this machine skips itself by name.
 */
import { spawn } from 'node:child_process';
import { node, root } from './prepare.mjs';

/** @type {[string, string[]][]} */
const SUITES = [
  ['Clients in Python, Go and Java', ['--disable-warning=ExperimentalWarning', 'scripts/test-clients.ts']],
  ['gcloud', ['scripts/test-gcloud.mjs']],
];
const CLOSING = /^(\d+) passed, (\d+) failed(?:, (\d+) skipped)?$/gm;

const sum = [0, 0, 0];
const skipped = [];
for (const [title, args] of SUITES) {
  console.log(`\n# ${title}`);
  const { code, text } = await run(args);
  const closing = [...text.matchAll(CLOSING)].at(-1);
  for (const [i, count] of (closing ?? []).slice(1).entries()) sum[i] += Number(count ?? 0);
  // One that died before its summary, or says that all is well and ends otherwise.
  if (closing === undefined || (code !== 0 && closing[2] === '0')) sum[1] += 1;
  skipped.push(...text.split('\n').filter((line) => /^Skipped: |suite is skipped/.test(line)));
}
console.log('');
for (const line of skipped) console.log(line);
console.log(`${sum[0]} passed, ${sum[1]} failed, ${sum[2]} skipped`);
process.exitCode = sum[1] === 0 ? 0 : 1;

/** Shows what it prints, and keeps it. */
function run(args) {
  return new Promise((resolve) => {
    let text = '';
    const child = spawn(node, args, { cwd: root, stdio: ['ignore', 'pipe', 'inherit'] });
    child.stdout.setEncoding('utf8').on('data', (part) => {
      text += part;
      process.stdout.write(part);
    });
    child.once('error', (error) => console.error(error.message));
    child.once('close', (code) => resolve({ code, text }));
  });
}
