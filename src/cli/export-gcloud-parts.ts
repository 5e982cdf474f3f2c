/** Tags and workload identity pools of a project as gcloud commands. */
import { isDeepStrictEqual } from 'node:util';
import { type JsonRecord, nameOf, type Snapshot, textOf } from './export-read.ts';
import { isList, isRecord, type Json } from './json.ts';
import { quoteShell } from './session.ts';

/** Nothing where there is no text. */
export function option(name: string, text: Json | undefined): string[] {
  return typeof text !== 'string' || text === '' ? [] : [`--${name}=${quoteShell(text)}`];
}

/** The command alone, unless what it makes is there. */
export function orElse(question: string, command: string): string {
  return `${question} >/dev/null 2>&1 ||\n  ${command}`;
}

/** What a flag takes as a list. A comma in it is told from those between by another sign (`gcloud topic escaping`). */
export function listOption(name: string, parts: readonly string[]): string[] {
  if (parts.length === 0) return [];
  const tells = (sign: string): boolean => isDeepStrictEqual(parts.join(sign).split(sign), parts);
  let sign = [',', ';', '|', ':', '#', '~'].find(tells) ?? '@%@';
  while (!tells(sign)) sign += '%@';
  return option(name, `${sign === ',' && parts[0]?.startsWith('^') !== true ? '' : `^${sign}^`}${parts.join(sign)}`);
}

/** A tag of the project's own, and what is bound to it; an organization's tags are bound by their names, not made. */
export function tagCommands({ tagKeys, tagBindings, projects }: Snapshot): string[] {
  const id = projects[0]?.id ?? '';
  const tags = 'gcloud resource-manager tags';
  const lines: string[] = [];
  for (const key of tagKeys.filter((each) => nameOf(each).startsWith(`${id}/`))) {
    const name = nameOf(key);
    const purposeData = isRecord(key['purposeData']) ? Object.entries(key['purposeData']).map(([each, value]) => `${each}=${textOf(value)}`) : [];
    const flags = [`--parent=projects/${id}`, ...option('description', key['description']), ...option('purpose', key['purpose']), ...listOption('purpose-data', purposeData)];
    lines.push('', orElse(`${tags} keys describe ${quoteShell(name)}`, [tags, 'keys create', quoteShell(name.slice(id.length + 1)), ...flags].join(' ')));
    for (const value of isList(key['values']) ? key['values'].filter(isRecord) : []) {
      const shortName = textOf(value['shortName']);
      const create = [tags, 'values create', quoteShell(shortName), ...option('parent', name), ...option('description', value['description'])].join(' ');
      lines.push(orElse(`${tags} values describe ${quoteShell(`${name}/${shortName}`)}`, create));
    }
  }
  const parent = `--parent="//cloudresourcemanager.googleapis.com/projects/\${NUMBER}"`;
  for (const { tagValue } of tagBindings) {
    const name = quoteShell(textOf(tagValue));
    lines.push(
      '',
      orElse(
        `${tags} bindings list ${parent} --effective --filter='NOT inherited:true' --format='value(namespacedTagValue)' | grep -xF -- ${name}`,
        `${tags} bindings create --tag-value=${name} ${parent}`,
      ),
    );
  }
  return lines;
}

/** @param flag `--project=demo` */
export function poolCommands({ workloadIdentityPools }: Snapshot, flag: string): string[] {
  const pools = 'gcloud iam workload-identity-pools';
  return workloadIdentityPools.flatMap((pool) => {
    const id = nameOf(pool).split('/').at(-1) ?? '';
    const at = `--location=global ${flag}`;
    const providers = isList(pool['providers']) ? pool['providers'].filter(isRecord) : [];
    return [
      '',
      orElse(`${pools} describe ${id} ${at}`, [pools, 'create', id, at, ...textOptions(pool)].join(' ')),
      ...providers.map((provider) => {
        const name = textOf(provider['id']);
        const inPool = `${at} --workload-identity-pool=${id}`;
        return orElse(
          `${pools} providers describe ${name} ${inPool}`,
          [pools, 'providers create-oidc', name, inPool, ...textOptions(provider), ...oidcOptions(provider)].join(' '),
        );
      }),
    ];
  });
}

function textOptions(record: JsonRecord): string[] {
  return [...option('display-name', record['displayName']), ...option('description', record['description']), ...(record['disabled'] === true ? ['--disabled'] : [])];
}

function oidcOptions({ oidc, attributeMapping, attributeCondition }: JsonRecord): string[] {
  const { issuerUri, allowedAudiences, jwksJson } = isRecord(oidc) ? oidc : {};
  const mapping = isRecord(attributeMapping) ? Object.entries(attributeMapping).map(([key, value]) => `${key}=${textOf(value)}`) : [];
  return [
    ...option('issuer-uri', issuerUri),
    ...listOption('attribute-mapping', mapping),
    ...option('attribute-condition', attributeCondition),
    ...listOption('allowed-audiences', isList(allowedAudiences) ? allowedAudiences.map(textOf) : []),
    ...(typeof jwksJson === 'string' && jwksJson !== '' ? [`--jwk-json-path=/dev/stdin <<< ${quoteShell(jwksJson)}`] : []),
  ];
}
