/** `actas stop`: asks the control plane of the data directory to end, and waits until it has. Running tasks go on; the next start adopts them. */
import { readFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import type { Command } from 'commander';
import { ACTAS, createApi } from './api.ts';
import { defineCommand, onRun, type Shell } from './command.ts';
import { CliFailure, EXIT, failure, notRunningFailure } from './failure.ts';
import type { ServerStatus, Session } from './session.ts';
import { findTarget, HOW_TO_START, readServerFile, type ServerFile } from './target.ts';
import { parseDuration } from './values.ts';

const DEFAULT_TIMEOUT_SECONDS = 30;
const POLL_MS = 50;

interface StopFlags {
  /** Seconds. */
  readonly timeout?: number;
}

export function registerStop(program: Command, shell: Shell): void {
  const stop = defineCommand(program, 'stop', {
    summary: 'stop the control plane',
    description: 'Stops the control plane of this data directory and waits until its process is gone. Running tasks go on, and the next start adopts them.',
    examples: ['actas stop', 'actas stop --data-dir=/tmp/x'],
  }).option('--timeout <duration>', `how long to wait for its end (default: ${DEFAULT_TIMEOUT_SECONDS}s)`, parseDuration);
  onRun<StopFlags>(stop, shell, async (session) => {
    const { terminal } = session;
    const server = await readServerFile(session.dataDir);
    if (server === undefined) throw notRunningFailure(`No control plane runs on ${session.dataDir}.`, []);
    const pid = await verifiedPid(session, server);
    const stages = terminal.stages();
    await stages.start(`Stopping the control plane at ${server.url} (process ${pid})...`);
    signal(pid);
    const timeoutSeconds = session.flags.timeout ?? DEFAULT_TIMEOUT_SECONDS;
    const giveUpAt = performance.now() + timeoutSeconds * 1000;
    while (await isAlive(pid)) {
      if (performance.now() > giveUpAt) {
        stages.fail();
        throw failure(`Process ${pid} has not ended within ${timeoutSeconds} s.`, 'Look at its log; to end it the hard way:', `  kill -9 ${pid}`);
      }
      await delay(POLL_MS);
    }
    stages.done();
    terminal.note('Stopped.');
  });
}

/** The pid is trusted only where the control plane itself says that it is its own: the file may be old, and the number somebody else's by now. */
async function verifiedPid(session: Session, server: ServerFile): Promise<number> {
  const target = await findTarget(session.io, { dataDir: session.dataDir });
  const api = createApi({ url: server.url, token: () => target.token(), whenDown: HOW_TO_START });
  let status: ServerStatus;
  try {
    status = await api.get<ServerStatus>(ACTAS, 'status');
  } catch (error) {
    if (!(error instanceof CliFailure) || error.exitCode !== EXIT.notRunning) throw error;
    if (server.pid > 0 && (await isAlive(server.pid)))
      throw failure(`Process ${server.pid} runs, but nothing answers at ${server.url}, so it may not be a control plane.`, 'If it is one:', `  kill ${server.pid}`);
    throw notRunningFailure(`No control plane runs on ${session.dataDir}; the last one ended without cleaning up.`, [], error);
  }
  const pid = status.pid ?? server.pid;
  if (pid !== server.pid || pid <= 1)
    throw failure(
      `${server.url} is served by process ${status.pid ?? 'unknown'}, not by ${server.pid} as ${session.dataDir}/server.json says.`,
      'That may be the control plane of another data directory; nothing was stopped.',
    );
  return pid;
}

function signal(pid: number): void {
  try {
    process.kill(pid, 'SIGTERM');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ESRCH') return;
    throw failure(`Cannot signal process ${pid}: ${error instanceof Error ? error.message : String(error)}`);
  }
}

async function isAlive(pid: number): Promise<boolean> {
  try {
    process.kill(pid, 0);
  } catch (error) {
    // EPERM: it lives, and belongs to somebody else.
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
  // In a container without an init process an ended process stays as a zombie, which still takes signals.
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  return !/^\d+ \(.*\) Z /s.test(stat);
}
