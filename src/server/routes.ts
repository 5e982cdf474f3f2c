/** Which RPC a verb, host and path mean, by the bindings of `google.api.http`; the paths of an API are compiled by the first request for it. */
import { notFound } from '../errors.ts';
import type { Api, ServiceOutline } from '../services/service.ts';
import { compilePath, type PathMatcher } from './http-rule.ts';

export interface Route {
  readonly verb: string;
  readonly path: PathMatcher;
  /** `*`, the name of a field, or nothing. */
  readonly body: string;
  readonly api: Api;
  readonly service: ServiceOutline;
  readonly rpc: string;
}
export interface Match {
  readonly route: Route;
  readonly variables: ReadonlyMap<string, string>;
}

export interface Routes {
  /** @param target.host undefined where only the path can tell @throws NOT_FOUND for none or several */
  find(verb: string, target: { readonly host: string | undefined; readonly path: string }): Match;
}

export function createRoutes(apis: readonly Api[]): Routes {
  const compiled = new Map<string | undefined, readonly Route[]>();
  const routesFor = (host: string | undefined): readonly Route[] => {
    const known = compiled.get(host);
    if (known !== undefined) return known;
    const routes = apis.filter((api) => host === undefined || api.host === host).flatMap(routesOf);
    // The most particular first: a plain `*` would take a `:verb`, or a literal such as `namespaced`, for a part of the name.
    routes.sort((a, b) => Number(/:\w+$/.test(b.path.template)) - Number(/:\w+$/.test(a.path.template)) || wildcards(a) - wildcards(b));
    compiled.set(host, routes);
    return routes;
  };
  return { find: (verb, target) => find(routesFor(target.host), verb, target) };
}

function routesOf(api: Api): Route[] {
  return api.services.flatMap((service) =>
    Object.entries(service.methods).flatMap(([rpc, bindings]) =>
      bindings.map((binding) => {
        const [verb = '', path = '', body = ''] = binding.split(' ');
        return { verb, path: compilePath(path), body, api, service, rpc };
      }),
    ),
  );
}

function wildcards(route: Route): number {
  return route.path.template.split('*').length;
}

function find(candidates: readonly Route[], verb: string, target: { readonly host: string | undefined; readonly path: string }): Match {
  const found: Match[] = [];
  const otherVerbs = new Set<string>();
  for (const route of candidates) {
    const variables = route.path.match(target.path);
    if (variables === undefined) continue;
    if (route.verb !== verb) otherVerbs.add(route.verb);
    else if (!found.some((f) => f.route.api.host === route.api.host)) found.push({ route, variables });
  }
  const [first, second] = found;
  if (first === undefined) {
    const where = target.host ?? 'this server';
    const hint = otherVerbs.size > 0 ? ` The path exists for ${[...otherVerbs].sort().join(', ')}.` : '';
    throw notFound(`Method not found: ${verb} ${target.path} is no method of ${where}.${hint}`);
  }
  if (second !== undefined)
    throw notFound(
      `Method not found: ${verb} ${target.path} could mean ${found.map((f) => f.route.api.host).join(' or ')}. Name the API in the Host header, or put it before the path: /${first.route.api.host}${target.path}`,
    );
  return first;
}
