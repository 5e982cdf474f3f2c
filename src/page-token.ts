/**
 * Page tokens: opaque to callers, but tied to the query that made them, so that a token of another list is refused.
 */
import { createHash } from 'node:crypto';
import { invalidRequest } from './errors.ts';

/** @param query whatever must not change between pages (parent, filter, showDeleted); @param after the sort key of the last row sent */
export function encodePageToken(query: readonly unknown[], after: readonly (string | number)[]): string {
  return Buffer.from(JSON.stringify([digest(query), ...after])).toString('base64url');
}

/** @returns the sort key of the last row sent, or undefined on the first page; @throws INVALID_ARGUMENT where the token is not of this query */
export function decodePageToken(query: readonly unknown[], token: string): readonly (string | number)[] | undefined {
  if (token === '') return undefined;
  try {
    const value: unknown = JSON.parse(Buffer.from(token, 'base64url').toString());
    if (Array.isArray(value) && value[0] === digest(query) && value.slice(1).every((v) => typeof v === 'string' || typeof v === 'number')) return value.slice(1);
  } catch {
    // Falls through: whatever does not parse is refused below with the same words.
  }
  throw invalidRequest('page_token: The page token is not valid for this request. Send the next_page_token of the previous answer with the same parameters, or none.', [
    { field: 'page_token', description: 'not a token of this list' },
  ]);
}

/** Clamps a requested page size: 0 is the default, more than the maximum becomes the maximum (AIP-158). */
export function pageSize(requested: number, fallback: number, most: number): number {
  if (requested < 0) throw invalidRequest(`page_size: must not be negative, but is ${requested}.`, [{ field: 'page_size', description: 'must not be negative' }]);
  return requested === 0 ? fallback : Math.min(requested, most);
}

function digest(query: readonly unknown[]): string {
  return createHash('sha256').update(JSON.stringify(query)).digest('base64url').slice(0, 12);
}
