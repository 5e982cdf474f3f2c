/** What the listener needs for TLS and as a proxy. Few starts see a connection that wants it, so that connection loads it. */
import type { Config } from '../config.ts';
import type { CertificateAuthority } from '../identity/certificate-authority.ts';
import type { FrontDoor } from '../server/listen.ts';
import { createPeers } from '../server/peer.ts';
import type { Proxy } from '../server/proxy.ts';
import { writePrivate } from '../server/status-file.ts';
import type { Log } from '../services/service.ts';

export interface FrontDoorParts {
  readonly config: Config;
  /** Under which this server may be addressed, without ports; more may join while it serves. */
  readonly names: ReadonlySet<string>;
  readonly log: Log;
  ownPort(): number | undefined;
}

export interface LazyFrontDoor extends FrontDoor {
  certificates(): Promise<CertificateAuthority>;
}

export function createFrontDoor({ config, names, log, ownPort }: FrontDoorParts): LazyFrontDoor {
  // Those that join while it serves are names of the tasks' network, whose containers speak without TLS.
  const configured = [...names];
  let authority: Promise<CertificateAuthority> | undefined;
  let proxy: Promise<Proxy> | undefined;
  return {
    certificates() {
      authority ??= import('../identity/certificate-authority.ts').then(({ openCertificateAuthority }) =>
        openCertificateAuthority({
          directory: config.dataDir,
          names: configured,
          now: () => Date.now(),
          write: writePrivate,
          replaced: (why) => log.warn({ why }, 'The certificate authority is made anew: whoever trusts the old one must trust the new one.'),
        }),
      );
      authority.catch(() => (authority = undefined));
      return authority;
    },
    proxy: () => (proxy ??= import('../server/proxy.ts').then(({ createProxy }) => createProxy({ names, egress: !config.noEgress, peerOf: createPeers(ownPort), log, ownPort }))),
    failed: (error) => log.error({ err: error }, 'A connection that wanted TLS or a proxy could not be served.'),
  };
}
