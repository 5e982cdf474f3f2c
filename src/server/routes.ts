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
  for (const route of candidates) {
    if (route.verb !== verb || found.some((f) => f.route.api.host === route.api.host)) continue;
    const variables = route.path.match(target.path);
    if (variables === undefined) continue;
    found.push({ route, variables });
    // One API is meant: the first of its routes that matches is the one.
    if (target.host !== undefined) break;
  }
  const [first, second] = found;
  if (first === undefined) {
    const where = target.host ?? 'this server';
    const others = new Set(candidates.filter((route) => route.path.match(target.path) !== undefined).map((route) => route.verb));
    const hint = others.size > 0 ? ` The path exists for ${[...others].sort().join(', ')}.` : '';
    throw notFound(`Method not found: ${verb} ${target.path} is no method of ${where}.${hint}`);
  }
  if (second !== undefined)
    throw notFound(
      `Method not found: ${verb} ${target.path} could mean ${found.map((f) => f.route.api.host).join(' or ')}. Name the API in the Host header, or put it before the path: /${first.route.api.host}${target.path}`,
    );
  return first;
}
