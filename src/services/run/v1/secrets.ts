/**
 * Secrets of other projects. v2 names them in full; v1 gives each an alias in the annotation `run.googleapis.com/secrets`
 * (`alias:projects/P/secrets/S`, with commas between), and refers to the alias. A secret of the job's own project has its id in both.
 */
import { createHash } from 'node:crypto';
import { invalidArgument } from '../../../errors.ts';

export interface SecretAliases {
  /** The name that v2 has for what v1 refers to. */
  secretOf(alias: string): string;
  /** The name that v1 has for a secret; of another project's a new alias is made and remembered. */
  aliasOf(secret: string): string;
  /** The annotation for all aliases that were made; empty where there are none. */
  annotation(): string;
}

const ENTRY = /^(?<alias>[A-Za-z0-9_-]{1,255}):(?<secret>projects\/[^/\s]+(?:\/locations\/[^/\s]+)?\/secrets\/[A-Za-z0-9_-]{1,255})$/;

/** @param text the annotation's value @throws INVALID_ARGUMENT */
export function readSecretAliases(text: string | undefined): SecretAliases {
  const known = new Map<string, string>();
  for (const entry of (text ?? '').split(',').map((part) => part.trim())) {
    if (entry === '') continue;
    const { alias, secret } = ENTRY.exec(entry)?.groups ?? {};
    if (alias === undefined || secret === undefined)
      throw invalidArgument(
        'spec.template.metadata.annotations',
        `Annotation 'run.googleapis.com/secrets': ${JSON.stringify(entry)} is not ALIAS:projects/PROJECT/secrets/SECRET.`,
      );
    known.set(alias, secret);
  }
  const made = new Map<string, string>();
  return {
    secretOf: (alias) => known.get(alias) ?? alias,
    aliasOf(secret) {
      if (!secret.includes('/')) return secret;
      // The same alias at every reading, so that a client which writes back what it read changes nothing.
      const alias = `secret-${createHash('sha256').update(secret).digest('hex').slice(0, 16)}`;
      made.set(alias, secret);
      return alias;
    },
    annotation: () => [...made].map(([alias, secret]) => `${alias}:${secret}`).join(','),
  };
}
