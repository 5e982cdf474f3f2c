/**
 * What a deploy or a run wants to be so, one question at a time. Who deploys asks them in order and fails with the first that is not so
 * (`askInOrder`); who checks a job beforehand asks each of them (check-job.ts). There is one copy of each rule: what a check says of a job
 * is what its deploy would say.
 */
import type { Finding_Topic as Topic } from '../../gen/actas/v1/check_pb.js';
import type { Call } from '../service.ts';

/** Whom a question asks: the call itself, or a check's stand-in that writes no audit entry and may speak of somebody else. */
export type Asked = Pick<Call, 'authorize' | 'isAllowed' | 'isMemberAllowed' | 'warn'>;

export interface Question {
  readonly topic: Exclude<keyof typeof Topic, 'TOPIC_UNSPECIFIED'>;
  /** What is to be so, for people: `act as hello@demo.iam.gserviceaccount.com`. */
  readonly about: string;
  /** @throws ApiError where it is not so, with the remedy */
  ask(call: Asked): Promise<void>;
  /** What mends that of which `ask` only warns. */
  readonly remedy?: { readonly sentence: string; readonly command: string };
}

/** @throws the error of the first that is not so */
export async function askInOrder(questions: readonly Question[], call: Asked): Promise<void> {
  for (const question of questions) await question.ask(call);
}

/** What questions ask about accounts and projects. A control plane answers from its store; `--live` from what Google tells the caller. */
export interface RunFacts {
  /** The account that is not deleted. */
  account(email: string): Promise<AccountFacts | undefined>;
  /** @param key id or number */
  project(key: string): Promise<ProjectFacts | undefined>;
  /** @param constraint without `constraints/` @param resource full resource name */
  isEnforced(constraint: string, resource: string): Promise<boolean>;
}

export interface AccountFacts {
  readonly email: string;
  readonly project_id: string;
  /** 1 where it is. */
  readonly disabled: number;
}

export interface ProjectFacts {
  readonly project_id: string;
  readonly number: string;
}
