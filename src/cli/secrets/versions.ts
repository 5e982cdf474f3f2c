/** `secrets versions`, in gcloud's grammar. A payload goes to stdout or into a file, and into no message. */
import { SECRETS } from '../api.ts';
import { type CliCommand, defineCommand, defineGroup, type ListFlags, onRun, requiredFlag, type Shell } from '../command.ts';
import { usageFailure } from '../failure.ts';
import { parseFormat, printResource } from '../format.ts';
import { addListFlags, column, serverLimit, showList } from '../listing.ts';
import { writePrivateFile } from '../private-file.ts';
import type { Session } from '../session.ts';
import { addVersion, checkedData, idOf, type LocationFlags, readPayload, secretName, shortTime, type Version, withDataFile, withLocation } from './secret.ts';

interface VersionFlags extends LocationFlags {
  readonly secret?: string;
  readonly etag?: string;
  readonly outFile?: string;
}
interface Accessed {
  readonly name?: string;
  readonly payload?: { readonly data?: string; readonly dataCrc32c?: string };
}

const COLUMNS = [
  column<Version>('NAME', idOf),
  column<Version>('STATE', (version) => version.state?.toLowerCase() ?? ''),
  column<Version>('CREATED', (version) => shortTime(version.createTime)),
  column<Version>('DESTROYED', (version) => shortTime(version.destroyTime) || '-'),
];

export function registerVersions(secrets: CliCommand, shell: Shell): void {
  const versions = defineGroup(secrets, 'versions', 'versions of secrets: their payloads and states');
  registerPayloads(versions, shell);
  registerReads(versions, shell);
  registerChanges(versions, shell);
}

/** `--secret`, as gcloud has it beside a version. */
function ofSecret(command: CliCommand): CliCommand {
  return withLocation(command.option('--secret <secret>', "the version's secret"));
}

/** @param given a number, `latest`, an alias, or a full name */
async function versionName(session: Session<VersionFlags>, given: string): Promise<string> {
  if (/^projects\/[^/]+\/(?:locations\/[^/]+\/)?secrets\/[^/]+\/versions\/[^/]+$/.test(given)) {
    await session.project();
    return given;
  }
  if (given.includes('/')) throw usageFailure(`'${given}' is not a version.`, 'Write its number, latest or an alias, or projects/PROJECT/secrets/ID/versions/NUMBER.');
  return `${await secretName(session, requiredFlag(session.flags.secret, '--secret <secret>'))}/versions/${given}`;
}

function registerPayloads(versions: CliCommand, shell: Shell): void {
  const add = withDataFile(
    withLocation(
      defineCommand(versions, 'add <secret>', {
        summary: 'add a version with a payload',
        examples: ['printf "s3cr3t" | actas secrets versions add my-secret --data-file=-', 'actas secrets versions add my-secret --data-file=key.pem'],
      }),
    ),
  );
  onRun<LocationFlags & { readonly dataFile?: string }>(add, shell, async (session, given) => {
    const data = await readPayload(session, requiredFlag(session.flags.dataFile, '--data-file <file>'));
    const name = await secretName(session, given);
    const version = await addVersion(await session.api(), name, data ?? new Uint8Array());
    session.terminal.note(`Created version [${idOf(version)}] of the secret [${name.split('/').at(-1)}].`);
    if (session.format !== undefined) await printResource(session.terminal, session.format, version);
  });

  const access = ofSecret(
    defineCommand(versions, 'access <version>', {
      summary: 'print the payload of a version, or write it to a file (mode 0600)',
      examples: ['actas secrets versions access latest --secret=my-secret', 'actas secrets versions access 3 --secret=my-secret --out-file=key.pem'],
    }),
  ).option('--out-file <file>', 'where to write the payload as it is');
  onRun<VersionFlags>(access, shell, async (session, given) => {
    const answer = await (await session.api()).get<Accessed>(SECRETS, `${await versionName(session, given)}:access`);
    const data = checkedData(answer.payload);
    const { outFile } = session.flags;
    if (outFile !== undefined) return writePrivateFile(outFile, data);
    if (session.format !== undefined) return printResource(session.terminal, session.format, answer);
    session.io.out.write(data.toString('utf8'));
  });
}

function registerReads(versions: CliCommand, shell: Shell): void {
  const list = withLocation(
    addListFlags(defineCommand(versions, 'list <secret>', { summary: 'list the versions of a secret, newest first', examples: ['actas secrets versions list my-secret'] })),
  );
  onRun<LocationFlags & ListFlags>(list, shell, async (session, given) => {
    const name = await secretName(session, given);
    const found = await (await session.api()).list<Version>(SECRETS, `${name}/versions`, 'versions', { limit: serverLimit(session.flags) });
    await showList(session, found, COLUMNS, 'No versions here.');
  });
  const describe = ofSecret(
    defineCommand(versions, 'describe <version>', { summary: 'show a version without its payload', examples: ['actas secrets versions describe 1 --secret=my-secret'] }),
  );
  onRun<VersionFlags>(describe, shell, async (session, given) => {
    const version = await (await session.api()).get<Version>(SECRETS, await versionName(session, given));
    await printResource(session.terminal, session.format ?? parseFormat('yaml'), version);
  });
}

function registerChanges(versions: CliCommand, shell: Shell): void {
  for (const { verb, done, summary } of [
    { verb: 'enable', done: 'Enabled', summary: 'let a version be read again' },
    { verb: 'disable', done: 'Disabled', summary: 'keep a version from being read' },
    { verb: 'destroy', done: 'Destroyed', summary: 'destroy the payload of a version for good' },
  ] as const) {
    const command = ofSecret(defineCommand(versions, `${verb} <version>`, { summary, examples: [`actas secrets versions ${verb} 1 --secret=my-secret`] })).option(
      '--etag <etag>',
      'refuse where the version is not that one any more',
    );
    onRun<VersionFlags>(command, shell, async (session, given) => {
      const name = await versionName(session, given);
      const [secret = '', , id = ''] = name.split('/').slice(-3);
      if (verb === 'destroy' && !(await session.terminal.confirm(`You are about to destroy version [${id}] of the secret [${secret}]. This cannot be undone. Continue?`))) return;
      const version = await (await session.api()).send<Version>('POST', SECRETS, `${name}:${verb}`, { etag: session.flags.etag });
      session.terminal.note(
        verb === 'destroy' && version.scheduledDestroyTime !== undefined
          ? `Disabled version [${id}] of the secret [${secret}] and scheduled for destruction at [${version.scheduledDestroyTime}].`
          : `${done} version [${id}] of the secret [${secret}].`,
      );
      if (session.format !== undefined) await printResource(session.terminal, session.format, version);
    });
  }
}
