/** Values of list constraints: `is:`, `in:` and `under:`, and what they match. Source: google/cloud/orgpolicy/v2/orgpolicy.proto, StringValues. */

/**
 * Groups of locations that are no common prefix of their members.
 * Source: https://docs.cloud.google.com/organization-policy/reference/defining-locations
 */
const LOCATION_GROUPS: Readonly<Record<string, readonly string[]>> = {
  canada: ['northamerica-northeast1', 'northamerica-northeast2'],
  northamerica: ['northamerica-northeast1', 'northamerica-northeast2', 'northamerica-south1', 'us'],
  // The member states of the European Union: not Switzerland (europe-west6), nor the United Kingdom (europe-west2).
  eu: [
    'eu',
    'eur',
    'europe-central2',
    'europe-north1',
    'europe-north2',
    'europe-southwest1',
    'europe-west1',
    'europe-west3',
    'europe-west4',
    'europe-west8',
    'europe-west9',
    'europe-west10',
    'europe-west12',
  ],
};

/** A value of a policy, taken apart. */
export interface ParsedValue {
  readonly kind: 'is' | 'in' | 'under';
  readonly text: string;
}

/** Without a prefix, and with a colon that ends no prefix, a value stands for itself. */
export function parseValue(value: string): ParsedValue {
  const [, prefix, text] = /^(is|in|under):(.*)$/s.exec(value) ?? [];
  if (prefix === 'in' || prefix === 'under') return { kind: prefix, text: text ?? '' };
  return { kind: 'is', text: prefix === 'is' ? (text ?? '') : value };
}

/** @param ancestors of the value asked about, itself first, where it names a node (`projects/p`, `folders/1`) @param value as it is used, without a prefix */
export function matchesValue(pattern: string, value: string, ancestors: readonly string[]): boolean {
  const { kind, text } = parseValue(pattern);
  if (kind === 'under') return ancestors.includes(text);
  if (kind === 'in') return isInGroup(text, value);
  return text === value;
}

/** `us-locations`, `us-central1-locations`, `eu-locations`. A group of anything but locations (services, say) is known to hold nothing. */
function isInGroup(group: string, value: string): boolean {
  const name = /^([a-z0-9-]+)-locations$/.exec(group)?.[1];
  if (name === undefined) return false;
  const members = Object.hasOwn(LOCATION_GROUPS, name) ? (LOCATION_GROUPS[name] ?? []) : [name];
  // A region holds its zones: us-central1-a is in us-central1-locations.
  return members.some((member) => value === member || value.startsWith(`${member}-`));
}
