/** The group `services`: which services a project has enabled. A client of Service Usage v1. */
import { type Command, Option } from 'commander';
import { type Operation, SERVICE_USAGE } from './api.ts';
import { defineCommand, defineGroup, type ListFlags, onRun, type Shell } from './command.ts';
import { finishOperation } from './iam/operations.ts';
import { addListFlags, column, serverLimit, showList } from './listing.ts';

interface Service {
  readonly name?: string;
  readonly state?: string;
  readonly config?: { readonly name?: string; readonly title?: string };
}

const COLUMNS = [column<Service>('NAME', (service) => service.config?.name ?? ''), column<Service>('TITLE', (service) => service.config?.title ?? '')];

interface ServiceListFlags extends ListFlags {
  readonly available?: boolean;
}

export function registerServices(program: Command, shell: Shell): void {
  const group = defineGroup(program, 'services', 'which services a project has enabled');
  const list = addListFlags(
    defineCommand(group, 'list', { summary: 'list the services that are enabled', examples: ['actas services list', 'actas services list --available --filter="name:run"'] }),
  )
    .option('--available', 'those that can be enabled as well')
    .addOption(new Option('--enabled', 'those that are enabled (the default)').conflicts('available'));
  onRun<ServiceListFlags>(list, shell, async (session) => {
    const parent = `projects/${await session.project()}`;
    const query = session.flags.available === true ? { pageSize: 200 } : { filter: 'state:ENABLED', pageSize: 200 };
    const found = await (await session.api()).list<Service>(SERVICE_USAGE, `${parent}/services`, 'services', { query, limit: serverLimit(session.flags) });
    await showList(session, found, COLUMNS, 'No services are enabled.');
  });

  const enable = defineCommand(group, 'enable <services...>', {
    summary: 'enable services',
    examples: ['actas services enable secretmanager.googleapis.com', 'actas services enable pubsub.googleapis.com cloudscheduler.googleapis.com'],
  });
  onRun(enable, shell, async (session) => {
    const parent = `projects/${await session.project()}`;
    const serviceIds = [...enable.args];
    await finishOperation(session, SERVICE_USAGE, `Enabling ${serviceIds.join(', ')}`, (api) =>
      serviceIds.length === 1
        ? api.send<Operation>('POST', SERVICE_USAGE, `${parent}/services/${serviceIds[0] ?? ''}:enable`, {})
        : api.send<Operation>('POST', SERVICE_USAGE, `${parent}/services:batchEnable`, { serviceIds }),
    );
  });

  const disable = defineCommand(group, 'disable <service>', { summary: 'disable a service', examples: ['actas services disable secretmanager.googleapis.com'] });
  disable.option('--force', 'also where others depend on it');
  onRun<{ readonly force?: boolean }>(disable, shell, async (session, service) => {
    const parent = `projects/${await session.project()}`;
    await finishOperation(session, SERVICE_USAGE, `Disabling ${service}`, (api) =>
      api.send<Operation>('POST', SERVICE_USAGE, `${parent}/services/${service}:disable`, session.flags.force === true ? { disableDependentServices: true } : {}),
    );
  });
}
