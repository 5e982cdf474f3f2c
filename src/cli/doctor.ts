/** `actas doctor`: finds what keeps clients from coming here, and prints the line that mends it. */
import { existsSync, readFileSync } from 'node:fs';
import { request } from 'node:http';
import type { Command } from 'commander';
import { ACTAS } from './api.ts';
import { fetchAuthority, get } from './client-files.ts';
import { defineCommand, onRun, type Shell } from './command.ts';
import { diagnose, type Finding, isSetUp } from './diagnosis.ts';
import { CliFailure, EXIT } from './failure.ts';
import { printResource } from './format.ts';
import type { ServerStatus, Session } from './session.ts';
import type { Target } from './target.ts';

/** Tokens that are signed, and certificates, are refused beyond that. */
const MOST_SKEW_MS = 60_000;
const PROBE = 'run.googleapis.com';

export function registerDoctor(program: Command, shell: Shell): void {
  const doctor = defineCommand(program, 'doctor', {
    summary: 'find what keeps clients from coming here',
    description:
      'Looks at the control plane, the token, the clock, TLS, and the variables of this shell that lead clients elsewhere; says what is wrong, and the line that mends it. Exit code 1 where something is.',
    examples: ['actas doctor', 'actas doctor --format=json'],
  });
  onRun(doctor, shell, async (session) => {
    const findings = await examine(session);
    const { terminal } = session;
    if (session.format !== undefined) await printResource(terminal, session.format, { findings });
    else
      for (const { ok, text, remedy } of findings) {
        terminal.print(`${ok ? terminal.style.green('✔') : terminal.style.red('✗')} ${text}`);
        if (remedy !== undefined) terminal.print(`    ${remedy}`);
      }
    return findings.every(({ ok }) => ok) ? EXIT.ok : EXIT.error;
  });
}

async function examine(session: Session): Promise<Finding[]> {
  const { env } = session.io;
  const target = await attempt(() => session.target());
  if ('failed' in target) return [unreachable(target.failed)];
  const { url } = target.value;
  const health = await attempt(() => get(`${url}/healthz`));
  if ('failed' in health) return [unreachable(health.failed)];
  const findings = [{ ok: true, text: `The control plane answers at ${url}.` }, await tokenFinding(target.value, Boolean(env['ACTAS_TOKEN'])), clockFinding(health.value.date)];
  const authority = await attempt(() => fetchAuthority(url));
  if ('failed' in authority) return [...findings, { ok: false, text: authority.failed.message, remedy: authority.failed.lines[0] ?? 'actas status' }];
  findings.push(await tlsFinding(url, authority.value));
  const read = (file: string): string | undefined => (existsSync(file) ? readFileSync(file, 'utf8') : undefined);
  const found = diagnose({ env, url, authority: authority.value, platform: process.platform, read });
  if (!isSetUp({ env, url }))
    return [
      ...findings,
      ...found,
      { ok: true, text: 'This shell leads no clients here; `actas exec`, `gcloud` and `terraform` do so for one command. For the shell:', remedy: 'eval "$(actas env)"' },
    ];
  return [...findings, ...found, ...(found.every(({ ok }) => ok) ? [{ ok: true, text: 'The variables of this shell lead clients here.' }] : [])];
}

function unreachable({ message, lines }: CliFailure): Finding {
  return { ok: false, text: message, remedy: lines.at(-1)?.trim() ?? 'actas up' };
}

async function tokenFinding(target: Target, hasOwn: boolean): Promise<Finding> {
  const status = await attempt(() => target.api.get<ServerStatus & { principal?: string }>(ACTAS, 'status'));
  if ('failed' in status) return { ok: false, text: `The token is not good: ${status.failed.message}`, remedy: hasOwn ? 'unset ACTAS_TOKEN' : 'actas stop && actas up --detach' };
  return { ok: true, text: `The token is good: ${status.value.principal ?? 'somebody'}.` };
}

function clockFinding(date: string | undefined): Finding {
  const skewMs = date === undefined ? 0 : Date.now() - Date.parse(date);
  if (Math.abs(skewMs) <= MOST_SKEW_MS) return { ok: true, text: "This machine's clock agrees with the control plane's." };
  return {
    ok: false,
    text: `This machine's clock is ${Math.round(Math.abs(skewMs) / 1000)} s ${skewMs > 0 ? 'ahead of' : 'behind'} the control plane's: tokens and certificates are refused.`,
    remedy: 'date -u',
  };
}

/** As a client does it: CONNECT, and TLS that is checked against the authority alone. */
async function tlsFinding(url: string, authority: string): Promise<Finding> {
  const { hostname, port } = new URL(url);
  const why = await new Promise<string | undefined>((resolve) => {
    const call = request({ host: hostname, port, method: 'CONNECT', path: `${PROBE}:443`, agent: false, timeout: 5000 });
    call.on('timeout', () => call.destroy(new Error('no answer within 5 s')));
    call.on('error', (error) => resolve(error.message));
    call.on('connect', (response, socket) => {
      if (response.statusCode !== 200) return resolve(`CONNECT was answered with ${response.statusCode}`);
      const { connect } = process.getBuiltinModule('node:tls');
      const secure = connect({ socket, servername: PROBE, ca: authority }, () => {
        secure.destroy();
        resolve(undefined);
      });
      secure.on('error', (error) => resolve(error.message));
    });
    call.end();
  });
  return why === undefined
    ? { ok: true, text: `TLS works through the proxy, at ${PROBE}.` }
    : { ok: false, text: `TLS through the proxy does not work: ${why}.`, remedy: 'actas stop && actas up --detach' };
}

async function attempt<T>(work: () => Promise<T>): Promise<{ readonly value: T } | { readonly failed: CliFailure }> {
  try {
    return { value: await work() };
  } catch (error) {
    if (error instanceof CliFailure) return { failed: error };
    throw error;
  }
}
