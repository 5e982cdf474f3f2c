/** The control plane in a process of its own, with its audit trail or without (`on`, `off`); prints its port and the owner's token. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadConfig } from '../src/config.ts';
import { startServer } from '../src/main.ts';

const dataDir = mkdtempSync(join(tmpdir(), 'actas-bench-audit-'));
const server = await startServer(loadConfig({ driver: 'fake', port: 0, logLevel: 'error', dataDir }, {}), process.argv[2] === 'off' ? { audit: () => undefined } : {});
console.log(JSON.stringify({ url: server.url, token: readFileSync(server.tokenFile, 'utf8').trim() }));
process.once('SIGTERM', () => {
  void server.close().then(() => rmSync(dataDir, { recursive: true }));
});
