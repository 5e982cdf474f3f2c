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

const folder = process.env['ACTAS_TRANSCRIPTS'];
/** One session was recorded in another organization than the rest, on a project of it that had a tag already. */
const SEED = `
organizations:
  - { number: "111111111111", displayName: example.com }
  - { number: "999999999999", displayName: other.example }
folders:
  - { number: "222222222222", displayName: team, parent: organizations/111111111111 }
projects:
  - { id: demo, number: "123456789012", parent: folders/222222222222 }
  - { id: recorded-elsewhere, number: "938492827514", parent: organizations/999999999999 }
policies:
  - { resource: organizations/111111111111, bindings: &owner [{ role: roles/owner, members: ["user:owner@example.com"] }, { role: roles/resourcemanager.projectCreator, members: ["user:owner@example.com"] }] }
  - { resource: organizations/999999999999, bindings: *owner }
`;
/** The recorder put a placeholder for that organization's number everywhere but in namespaced names. */
const UNREPLACED = '406172723981';
const PLACEHOLDER = ['$', '{otherOrganizationID}'].join('');

describe.skipIf(folder === undefined)(`recorded exchanges of Resource Manager${folder === undefined ? ' (ACTAS_TRANSCRIPTS names no folder)' : ''}`, () => {
  test('at least 95 of 100 are answered alike', { timeout: 120_000 }, async () => {
    const dir = mkdtempSync(join(tmpdir(), 'transcripts-'));
    const recordings = join(dir, 'recordings');
    cpSync(join(folder ?? '', 'transcripts'), recordings, { recursive: true });
    for (const name of readdirSync(recordings)) writeFileSync(join(recordings, name), readFileSync(join(recordings, name), 'utf8').replaceAll(UNREPLACED, PLACEHOLDER));
    const seed = join(dir, 'seed.yaml');
    writeFileSync(seed, SEED);
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
