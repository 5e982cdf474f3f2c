import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import Docker from 'dockerode';
import { nodeImage } from '../test/harness/image.ts';
const host = process.env['DOCKER_HOST']!;
const docker = new Docker({ socketPath: host.slice(7) });
const image = await nodeImage(docker);
const dir = mkdtempSync('/tmp/review/logs-');
let url = '', token = '', pid = 0;
const up = async () => {
  rmSync(dir + '/ready', { force: true });
  const c = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', 'bin/actas.js', 'up', '--data-dir', dir, '--port', '0', '--driver', 'docker', '--ready-file', dir + '/ready', '--log-level', 'warn'], { stdio: ['ignore', 'inherit', 'inherit'] });
  while (!existsSync(dir + '/ready')) await new Promise((r) => setTimeout(r, 50));
  const r = JSON.parse(readFileSync(dir + '/ready', 'utf8')); url = r.url; token = readFileSync(r.tokenFile, 'utf8').trim();
  pid = JSON.parse(readFileSync(dir + '/server.json', 'utf8')).pid; return c;
};
const call = async (verb: string, path: string, body?: unknown): Promise<any> => (await fetch(url + path, { method: verb, headers: { authorization: 'Bearer ' + token, 'content-type': 'application/json' }, ...(body ? { body: JSON.stringify(body) } : {}) })).json();
const rss = () => { try { const s = readFileSync(`/proc/${pid}/status`, 'utf8'); return [/VmRSS:\s+(\d+)/, /VmHWM:\s+(\d+)/].map((r) => Math.round(Number(r.exec(s)?.[1]) / 1024)); } catch { return []; } };
await up();
const API = '/run.googleapis.com/v2/projects/demo/locations/us-central1';
await call('POST', `${API}/jobs?jobId=big`, { template: { template: { maxRetries: 0, timeout: '600s', containers: [{ image, command: ['node', '-e'], args: ["const {writeSync}=require('fs');const x='x'.repeat(190);for(let i=0;i<500000;i+=100){let b='';for(let j=0;j<100;j++)b+=(i+j)+' '+x+'\\n';let o=0;const B=Buffer.from(b);while(o<B.length)o+=writeSync(1,B,o);}"] }] } } });
while ((await call('GET', `${API}/jobs/big`)).terminalCondition?.state !== 'CONDITION_SUCCEEDED') await new Promise((r) => setTimeout(r, 100));
console.log('idle', rss());
const op = await call('POST', `${API}/jobs/big:run`, {}); const t0 = Date.now();
let killed = false;
for (;;) {
  await new Promise((r) => setTimeout(r, 1000));
  const e = await call('GET', `/run.googleapis.com/v2/${op.metadata.name}`);
  console.log(Math.round((Date.now() - t0) / 1000), 's', rss(), e.succeededCount ?? 0, e.runningCount ?? 0);
  if (!killed && Date.now() - t0 > 5000) { killed = true; process.kill(pid, 'SIGKILL'); await up(); console.log('restarted'); }
  if (e.completionTime) { console.log(e.conditions?.[0]); break; }
  if (Date.now() - t0 > 45_000) break;
}
process.kill(pid, 'SIGTERM'); await new Promise((r) => setTimeout(r, 3000));
const { readdirSync } = await import('node:fs'); console.log(readdirSync(dir));
const db = new DatabaseSync(dir + '/logs.sqlite');
console.log(db.prepare("select name, sql from sqlite_master where type='table'").all().map((r: any) => r.name));
(globalThis as any).done = 1;
const cols = db.prepare('pragma table_info(entries)').all().map((r: any) => r.name); console.log(cols);
let n = 0, bad = 0; for (const row of db.prepare(`select payload as text from entries where payload like '% xxx%' order by time_ns, id`).iterate() as any) { if (!row.text.startsWith(n + ' ')) { if (bad++ < 5) console.log('bad', n, row.text.slice(0, 20)); } n++; }
console.log('lines', n, 'out of order', bad);
