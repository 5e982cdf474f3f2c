/** The name server of a tasks' network: what it answers itself, and whom it asks for the rest, from here or through the relay. */
import type { GoogleNames } from '../driver.ts';
import { askByStream, createForwarder, type Exchanges, exchangesFromHere, type NameServerAddress, ownNameServers, readServer } from './name-forwarder.ts';
import { createNameServer, type NameServer } from './name-server.ts';
import type { Relay } from './relay.ts';

/** Beside Google's names, for programs that read no hosts file. */
const METADATA_NAME = 'metadata.google.internal';
/** A machine that changes its network has other name servers. */
const REREAD_MS = 5000;

export interface TaskNamesOptions {
  readonly google: GoogleNames;
  /** Where Google's names lead. */
  readonly address: string;
  /** Asked in place of the name servers of where the bridge is. */
  readonly nameServers: readonly NameServerAddress[];
}

/** For a bridge of this machine. */
export function taskNamesHere(options: TaskNamesOptions): NameServer {
  const { nameServers } = options;
  let own: { readonly servers: readonly NameServerAddress[]; readonly readAt: number } | undefined;
  const find = () => {
    if (own === undefined || own.readAt < performance.now() - REREAD_MS) own = { servers: ownNameServers(), readAt: performance.now() };
    return own.servers;
  };
  return build(options, nameServers.length === 0 ? find : () => nameServers, exchangesFromHere);
}

/** For a bridge where the relay is: its name servers may know names that ours do not (`host.docker.internal` in Docker Desktop's machine). */
export async function taskNamesByRelay(options: TaskNamesOptions, relay: Relay): Promise<NameServer> {
  const servers = options.nameServers.length === 0 ? (await relay.nameServers()).flatMap((server) => readServer(server) ?? []) : options.nameServers;
  return build(options, () => servers, exchangesByRelay(relay));
}

function build({ google, address }: TaskNamesOptions, servers: () => readonly NameServerAddress[], exchanges: Exchanges): NameServer {
  return createNameServer({ answers: (name) => google.isGoogle(name) || name === METADATA_NAME, address, forward: createForwarder(servers, exchanges) });
}

function exchangesByRelay(relay: Relay): Exchanges {
  return {
    datagram: (server, message, isAnswer, signal) =>
      new Promise((resolve, reject) => {
        let end: () => void = () => undefined;
        const finish = (settle: () => void) => {
          signal.removeEventListener('abort', late);
          end();
          settle();
        };
        const late = () => finish(() => reject(new Error('no answer')));
        signal.addEventListener('abort', late);
        end = relay.ask({ ...server, data: message.toString('base64') }, ({ data, error }) => {
          const received = Buffer.from(data ?? '', 'base64');
          if (error !== undefined) finish(() => reject(new Error(error)));
          else if (isAnswer(received)) finish(() => resolve(received));
        });
      }),
    stream: (server, message, isAnswer, signal) => askByStream(() => relay.dial(server.address, server.port), message, isAnswer, signal),
  };
}
