/**
 * Resource names (`projects/p/locations/l/jobs/j`), parsed once into typed values. Knows their form, not what exists, and no
 * service's words for a bad one: the caller throws.
 */

/** The ids of a name, by collection: `{ projects: 'p', locations: 'l', jobs: 'j' }`. */
export type NameParts<C extends readonly string[]> = { readonly [K in C[number]]: string };

/** Path segments as `google.api.http` patterns take them for `*`: not empty, no slash; and no blank or control character, which a log or terminal would trip over. */
const SEGMENT = /^[^/\s\p{Cc}]{1,256}$/u;

/**
 * @param collections in order, `['projects', 'locations', 'jobs']`
 * @returns undefined where the name has another form
 */
export function parseName<const C extends readonly string[]>(collections: C, name: string): NameParts<C> | undefined {
  const segments = name.split('/');
  if (segments.length !== collections.length * 2) return undefined;
  const parts: Record<string, string> = {};
  for (const [index, collection] of collections.entries()) {
    const id = segments[index * 2 + 1];
    if (segments[index * 2] !== collection || id === undefined || !SEGMENT.test(id)) return undefined;
    parts[collection] = id;
  }
  // Every collection was given an id in the loop above.
  return parts as NameParts<C>;
}

/** The last id of a name: `j` of `projects/p/locations/l/jobs/j`. */
export function lastId(name: string): string {
  return name.slice(name.lastIndexOf('/') + 1);
}
