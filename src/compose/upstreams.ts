/** Who serves the APIs that are not served here, as the configuration names them. */
import type { Config } from '../config.ts';
import { loadMethodTable } from '../policy/method-table.ts';
import type { Upstream } from '../server/upstream.ts';
import type { Log } from '../services/service.ts';

/** @param served hosts of this server's own APIs @throws Error with a sentence for an upstream of one of those, or methods that cannot be read */
export function createUpstreams(config: Config, served: ReadonlySet<string>, log: Log): readonly Upstream[] {
  return Object.entries(config.upstreams).map(([host, { url, project = config.project, headers, methods }]) => {
    if (served.has(host)) throw new Error(`upstreams: ${host} is served by actas itself, and its calls are not passed on. Leave it out.`);
    const table = loadMethodTable(host, project, methods);
    log.info({ host, url, project }, `calls of ${host} are passed on to ${url}, as far as policies grant them`);
    return { host, url: new URL(url), headers, table };
  });
}
