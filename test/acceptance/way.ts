/** What each way of working must be able to do, in the words of the service identity of a job. */
import type { TestServer } from '../harness/server.ts';

export interface Answer {
  readonly ok: boolean;
  /** What was answered or printed, errors included. */
  readonly text: string;
}

export interface AccountName {
  readonly project: string;
  readonly id: string;
}

/** @param as a member, `user:dev@example.com`; the owner where absent */
export interface Way {
  readonly name: string;
  createAccount(account: AccountName): Promise<Answer>;
  createRole(project: string, id: string, permission: string): Promise<Answer>;
  /** @param on `projects/P` or `projects/P/serviceAccounts/EMAIL` */
  grant(on: string, member: string, role: string): Promise<Answer>;
  /** @param account an address; undefined names none */
  createJob(job: string, account: string | undefined, as: string): Promise<Answer>;
  updateJob(job: string, account: string, as: string): Promise<Answer>;
  /** Reads the job as v1 YAML, names another account in it, and puts it in the place of the job. */
  replaceJob(job: string, account: string, as: string): Promise<Answer>;
  execute(job: string, as: string): Promise<Answer>;
  listJobs(as: string): Promise<Answer>;
  /** @returns the account's address as `text` */
  accountOf(job: string): Promise<Answer>;
  /** @returns `true` or `false` as `text` */
  isEnforced(project: string, constraint: string): Promise<Answer>;
  disableEnforce(project: string, constraint: string): Promise<Answer>;
}

export const PROJECT = 'demo';
export const NUMBER = '123456789012';
export const REGION = 'us-central1';
export const IMAGE = 'us-docker.pkg.dev/cloudrun/container/job:latest';
export const OWNER = 'user:owner@example.com';

export type Call = (verb: string, path: string, body?: unknown, as?: string) => Promise<Answer & { readonly json: object }>;

export function caller(server: TestServer): Call {
  return async (verb, path, body, as = OWNER) => {
    const { status, text, json } = await server.call(verb, `/${path}`, body, { as });
    return { ok: status === 200, text, json: json ?? {} };
  };
}
