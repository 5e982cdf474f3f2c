/**
 * Recorded answers of the real Resource Manager, replayed: projects and tags. As in transcripts.test.ts, ACTAS_TRANSCRIPTS names the folder of
 * the recordings; without it this suite is skipped.
 */
import { execFile } from 'node:child_process';
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import { startTestServer } from './harness/server.ts';
import { inOtherOrganization, TWO_ORGANIZATIONS } from './harness/transcripts.ts';

const folder = process.env['ACTAS_TRANSCRIPTS'];
describe.skipIf(folder === undefined)(`recorded exchanges of Resource Manager${folder === undefined ? ' (ACTAS_TRANSCRIPTS names no folder)' : ''}`, () => {
  test('at least 95 of 100 are answered alike', { timeout: 120_000 }, async () => {
    const dir = mkdtempSync(join(tmpdir(), 'transcripts-'));
    const recordings = join(dir, 'recordings');
    cpSync(join(folder ?? '', 'transcripts'), recordings, { recursive: true });
    for (const name of readdirSync(recordings)) writeFileSync(join(recordings, name), inOtherOrganization(readFileSync(join(recordings, name), 'utf8')));
    const seed = join(dir, 'seed.yaml');
    writeFileSync(seed, TWO_ORGANIZATIONS);
    const server = await startTestServer({ seed });
    try {
      const { stdout } = await promisify(execFile)(
        process.execPath,
        [
          join(folder ?? '', 'tools', 'replay-transcripts.mjs'),
          ...['--base', server.url, '--token', server.ownerToken, '--dir', recordings, '--only', 'cloudresourcemanager', '--verbose'],
        ],
        { maxBuffer: 1 << 26 },
      );
      // That the project had a tag before the recording began.
      expect(stdout.split('\n').filter((line) => /\.jsonl:\d+ /.test(line))).toEqual([expect.stringMatching(/^tags\.v1beta1\.tagstagbinding\.tagbindingautogen\.jsonl:8 GET /)]);
      const [, exact, all] = /^all\s+exact (\d+)\/(\d+)/m.exec(stdout) ?? [];
      expect(Number(all)).toBeGreaterThanOrEqual(70);
      expect(Number(exact) / Number(all)).toBeGreaterThan(0.95);
    } finally {
      await server.close();
      rmSync(dir, { recursive: true });
    }
  });
});
