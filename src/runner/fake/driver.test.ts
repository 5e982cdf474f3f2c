import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { driverContract, type Programs } from '../driver-contract.ts';
import { createFakeDriver } from './driver.ts';

const env = (entries: Readonly<Record<string, string>>) => ({ env: Object.entries(entries).map(([name, value]) => ({ name, value })) });
const programs: Programs = {
  exit: (code) => env({ FAKE_DURATION_MS: '0', FAKE_EXIT_CODE: String(code) }),
  print: (lines) => env({ FAKE_DURATION_MS: '0', FAKE_LOG: lines.join('\n') }),
  printThenWait: (lines) => env({ FAKE_DURATION_MS: 'never', FAKE_LOG: lines.join('\n') }),
  ignoreTerm: () => env({ FAKE_DURATION_MS: 'never', FAKE_IGNORE_SIGTERM: '1' }),
  killItself: (signal) => env({ FAKE_DURATION_MS: '0', FAKE_SIGNAL: String(signal) }),
  absent: () => env({ FAKE_START_ERROR: 'exec: "absent": executable file not found in $PATH' }),
};

driverContract('fake', { localhost: false, longLines: false, startFailures: true, signals: true, adoption: true }, () => {
  const stateDir = mkdtempSync(join(tmpdir(), 'fake-driver-'));
  const create = () => createFakeDriver({ stateDir });
  return Promise.resolve({
    driver: create(),
    reopen: () => Promise.resolve(create()),
    image: 'example.com/app:v1',
    missingImage: 'example.com/missing:v1',
    programs,
    cleanUp: () => Promise.resolve(rmSync(stateDir, { recursive: true })),
  });
});
