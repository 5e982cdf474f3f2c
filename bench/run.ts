/**
 * Benchmarks: each figure is a ratio to something plain that was measured in the same run, because absolute times say little on shared
 * machines. They gate nothing. `npm run bench`, `npm run bench -- NAME...`, `npm run bench -- --json FILE`.
 */
import { writeFileSync } from 'node:fs';
import { cpus, release, totalmem } from 'node:os';
import { parseArgs } from 'node:util';
import { audit } from './audit.ts';
import { authenticate } from './authenticate.ts';
import { createJob } from './create-job.ts';
import { getJobGrpc } from './get-job-grpc.ts';
import { getJobRest } from './get-job-rest.ts';
import { logFlood } from './log-flood.ts';
import { logPage } from './log-page.ts';
import { metadataToken } from './metadata-token.ts';
import { policyCheck } from './policy-check.ts';
import { ready } from './ready.ts';
import { hundredTasks, taskStart } from './task-start.ts';
import { tls } from './tls.ts';
import { upstream } from './upstream.ts';

/** One measured ratio. */
export interface Figure {
  readonly name: string;
  /** What was compared with what, in words. */
  readonly what: string;
  readonly unit: string;
  readonly ours: number;
  readonly plain: number;
  /** ours / plain. */
  readonly ratio: number;
  /** What the ratio should be, where somebody has said so. */
  readonly goal?: { readonly atLeast: number } | { readonly atMost: number };
  readonly note?: string;
}
/** @returns its figures, or why it cannot run here */
export type Benchmark = () => Promise<readonly Figure[] | string>;

const BENCHMARKS: Record<string, Benchmark> = {
  'policy-check': policyCheck,
  'get-job-rest': getJobRest,
  tls,
  'create-job': createJob,
  'get-job-grpc': getJobGrpc,
  authenticate,
  'metadata-token': metadataToken,
  upstream,
  audit,
  'log-page': logPage,
  'log-flood': logFlood,
  ready,
  'task-start': taskStart,
  'hundred-tasks': hundredTasks,
};

const { values, positionals } = parseArgs({ options: { json: { type: 'string' } }, allowPositionals: true });
const unknown = positionals.filter((name) => !(name in BENCHMARKS));
if (unknown.length > 0) {
  console.error(`No benchmark ${unknown.join(', ')}. There are: ${Object.keys(BENCHMARKS).join(', ')}`);
  process.exit(2);
}
console.log(`${cpus().length} x ${cpus()[0]?.model ?? 'cpu'}, ${Math.round(totalmem() / 2 ** 30)} GiB, Linux ${release()}, Node ${process.version}`);
const figures: Figure[] = [];
const skipped: Record<string, string> = {};
for (const [name, benchmark] of Object.entries(BENCHMARKS)) {
  if (positionals.length > 0 && !positionals.includes(name)) continue;
  const result = await benchmark();
  if (typeof result === 'string') {
    skipped[name] = result;
    console.log(`${name.padEnd(16)} not run: ${result}`);
    continue;
  }
  for (const figure of result) {
    figures.push(figure);
    console.log(
      `${figure.name.padEnd(16)} ${figure.ratio.toFixed(2).padStart(6)}  (${verdict(figure)})  ${show(figure.ours)} against ${show(figure.plain)} ${figure.unit}: ${figure.what}${figure.note === undefined ? '' : `; ${figure.note}`}`,
    );
  }
}
if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify({ node: process.version, cpus: cpus().length, figures, skipped }, undefined, 2)}\n`);

function verdict({ goal, ratio }: Figure): string {
  if (goal === undefined) return 'no goal';
  return 'atLeast' in goal ? `goal >= ${goal.atLeast}: ${ratio >= goal.atLeast ? 'met' : 'NOT MET'}` : `goal <= ${goal.atMost}: ${ratio <= goal.atMost ? 'met' : 'NOT MET'}`;
}

function show(value: number): string {
  return value >= 100 ? String(Math.round(value)) : value.toFixed(2);
}
