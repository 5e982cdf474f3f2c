/** References of container images, as far as the loop must understand them. */

/** A reference without its tag and digest; the port of a registry is not a tag. */
export function imageName(reference: string): string {
  const bare = reference.split('@')[0] ?? reference;
  const colon = bare.lastIndexOf(':');
  return colon > bare.lastIndexOf('/') ? bare.slice(0, colon) : bare;
}
