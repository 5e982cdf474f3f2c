// Writes src/gen/services.js: every service of the generated protos with its RPCs and their HTTP bindings, as plain data. By it the
// doors find the RPC that a request means without loading a descriptor; the descriptors are loaded with the API that is wanted.
// Run after `buf generate`, which empties src/gen.
import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { getOption, hasOption } from '@bufbuild/protobuf';

const gen = fileURLToPath(new URL('../src/gen/', import.meta.url));
const { http } = await import(pathToFileURL(join(gen, 'google/api/annotations_pb.js')).href);

const services = [];
for (const file of readdirSync(gen, { recursive: true })) {
  if (!file.endsWith('_pb.js')) continue;
  for (const exported of Object.values(await import(pathToFileURL(join(gen, file)).href))) if (exported?.kind === 'service') services.push(exported);
}
services.sort((a, b) => (a.typeName < b.typeName ? -1 : 1));

/** @returns `VERB PATH` or `VERB PATH BODY` for each binding, as google.api.HttpRule has them */
function bindingsOf(rule, method) {
  // No API that we know has one; the next that does will say so here.
  if (rule.responseBody !== '') throw new Error(`${method}: google.api.HttpRule.response_body is not served`);
  const rest = rule.additionalBindings.flatMap((other) => bindingsOf(other, method));
  const { case: verb, value: path } = rule.pattern;
  return verb === undefined || verb === 'custom' ? rest : [`${verb.toUpperCase()} ${path}${rule.body === '' ? '' : ` ${rule.body}`}`, ...rest];
}

const table = Object.fromEntries(
  services.map((service) => [
    service.typeName,
    Object.fromEntries(service.methods.map((method) => [method.name, hasOption(method, http) ? bindingsOf(getOption(method, http), `${service.typeName}.${method.name}`) : []])),
  ]),
);
writeFileSync(join(gen, 'services.js'), `// Made by scripts/service-table.mjs.\nexport const SERVICES = ${JSON.stringify(table, undefined, 1)};\n`);
writeFileSync(
  join(gen, 'services.d.ts'),
  `// Made by scripts/service-table.mjs.
/** Full names of the services in the protos. */
export type ServiceName =
${services.map(({ typeName }) => `  | '${typeName}'`).join('\n')};
/** Service -> RPC -> its HTTP bindings, each \`VERB PATH\` or \`VERB PATH BODY\`. */
export declare const SERVICES: { readonly [name in ServiceName]: { readonly [rpc: string]: readonly string[] } };
`,
);
