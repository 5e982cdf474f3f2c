/**
 * What a token may be used for, by its OAuth scopes. The scopes of an API stand in its proto; those that are for reading alone open
 * nothing that writes. Source: google/api/client.proto (oauth_scopes), https://developers.google.com/identity/protocols/oauth2/scopes
 */
import { type DescMethod, getOption, hasOption } from '@bufbuild/protobuf';
import { oauth_scopes } from '../gen/google/api/client_pb.js';
import type { AnyService } from '../services/service.ts';

/** Of an API whose proto, ours among them, says nothing. */
const DEFAULT = ['https://www.googleapis.com/auth/cloud-platform', 'https://www.googleapis.com/auth/cloud-platform.read-only'];
/** Whether a token opens a method. */
export interface ScopeRule {
  /** @param held the token's scopes; undefined: everything */
  isOpen(service: AnyService, method: DescMethod, held: readonly string[] | undefined): boolean;
}

export function createScopeRule(): ScopeRule {
  const known = new Map<AnyService, ReadonlySet<string>>();
  const scopesOf = (service: AnyService): ReadonlySet<string> => {
    let scopes = known.get(service);
    if (scopes === undefined) {
      const { desc } = service;
      scopes = new Set(service.scopes ?? (hasOption(desc, oauth_scopes) ? getOption(desc, oauth_scopes).split(',') : DEFAULT));
      known.set(service, scopes);
    }
    return scopes;
  };
  return {
    isOpen(service, method, held) {
      if (held === undefined) return true;
      const wanted = scopesOf(service);
      return held.some((scope) => wanted.has(scope) && (!/[./]read(?:-?only)?$/.test(scope) || isRead(method)));
    },
  };
}

function isRead(method: DescMethod): boolean {
  return /^(?:Get|List|Search|Query|Test)/.test(method.name);
}
