/** Tags as conditions and organization policies see them. Source: google/cloud/resourcemanager/v3/tag_bindings.proto */

/** One tag that is bound to a resource. */
export interface Tag {
  /** `tagKeys/123`. */
  readonly keyId: string;
  /** Namespaced name: `111111111111/env` (of an organization) or `demo/env` (of a project). */
  readonly key: string;
  /** `tagValues/456`. */
  readonly valueId: string;
  /** Short name of the value: `prod`. */
  readonly value: string;
}
