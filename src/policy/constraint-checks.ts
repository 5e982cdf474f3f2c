/**
 * What organization policies refuse, asked at the moment of a change: the creation of a service account, of a job, the grant of a role. The
 * services call these through their `constraints`; the errors are Google's.
 * Nothing that exists already is ever refused: constraints are not retroactive. Source: https://docs.cloud.google.com/organization-policy/restrict-service-accounts
 */
import { type ApiError, failedPrecondition, isApiError, orgPolicyViolation } from '../errors.ts';
import { type Job } from '../gen/google/cloud/run/v2/job_pb.js';
import { VpcAccess_VpcEgress } from '../gen/google/cloud/run/v2/vendor_settings_pb.js';
import type { CelMap } from './cel/value.ts';
import { findConstraint } from './constraint-catalogue.ts';
import { createCustomChecks, type ResourceChange } from './constraint-custom.ts';
import { checkGrants, type GrantsChange } from './constraint-grants.ts';
import type { Asker, OrgPolicyEngine } from './org-policy.ts';

export interface JobChange {
  readonly job: Job;
  /** `projects/ID/locations/L/jobs/J`. */
  readonly name: string;
  readonly method: 'CREATE' | 'UPDATE';
  /** The job as version 1 of the API shows it, which custom constraints look at. */
  fields(): Promise<CelMap>;
}

/** A service account as it is about to be. */
export interface AccountChange {
  readonly projectId: string;
  readonly email: string;
  readonly displayName: string;
  readonly description: string;
}

export interface NewKey {
  readonly projectId: string;
  readonly email: string;
  /** Made here, or uploaded. */
  readonly origin: 'GOOGLE_PROVIDED' | 'USER_PROVIDED';
}

export interface ConstraintChecks {
  /** @throws FAILED_PRECONDITION */
  accountCreation(account: AccountChange, asker: Asker): Promise<void>;
  /** @throws FAILED_PRECONDITION */
  accountUpdate(account: AccountChange, asker: Asker): Promise<void>;
  /** Custom constraints alone: those on creating and uploading keys are asked where keys are made. @throws FAILED_PRECONDITION */
  keyCreation(key: NewKey, asker: Asker): Promise<void>;
  /** Each policy that refuses the change, in the order in which they are asked. A change takes the first, a check beforehand all: FAILED_PRECONDITION. */
  jobRefusals(change: JobChange, asker: Asker): AsyncIterable<ApiError>;
  /** Looks at what a policy adds to the one before it. @throws FAILED_PRECONDITION */
  grants(change: GrantsChange, asker: Asker): Promise<void>;
}

export function createConstraintChecks(engine: OrgPolicyEngine): ConstraintChecks {
  const checkCustom = createCustomChecks(engine);
  return {
    async accountCreation(account, asker) {
      await checkAccountCreation(engine, account, asker);
      await checkCustom(accountChange(account, 'CREATE'), asker);
    },
    accountUpdate: (account, asker) => checkCustom(accountChange(account, 'UPDATE'), asker),
    keyCreation: (key, asker) => checkCustom(keyChange(key), asker),
    async *jobRefusals(change, asker) {
      yield* jobRefusals(engine, change, asker);
      const { name, method, fields } = change;
      const refusal = await refusalOf(checkCustom({ type: 'run.googleapis.com/Job', method, resource: `//run.googleapis.com/${name}`, shown: name, fields }, asker));
      if (refusal !== undefined) yield refusal;
    },
    grants: (change, asker) => checkGrants(engine, change, asker),
  };
}

async function checkAccountCreation(engine: OrgPolicyEngine, { projectId }: AccountChange, asker: Asker): Promise<void> {
  const resource = `//cloudresourcemanager.googleapis.com/projects/${projectId}`;
  const legacy = 'iam.disableServiceAccountCreation';
  if (await engine.isEnforced(legacy, resource, asker)) {
    const message = 'Service account creation is not allowed on this project.';
    // The subject's form is Google's, with a place for a value that this constraint does not have.
    throw failedPrecondition(message, { type: `constraints/${legacy}`, subject: `projects/${projectId}/serviceAccounts/?configvalue=`, description: message });
  }
  await refuseManaged(engine, 'iam.managed.disableServiceAccountCreation', resource, `projects/${projectId}`, asker);
}

/** @param shown the resource as the error names it @throws FAILED_PRECONDITION where a managed constraint without parameters is enforced */
async function refuseManaged(engine: OrgPolicyEngine, constraint: string, resource: string, shown: string, asker: Asker): Promise<void> {
  if (await engine.isEnforced(constraint, resource, asker)) throw orgPolicyViolation(shown, [{ constraint, description: findConstraint(constraint)?.description ?? '' }]);
}

function accountChange({ projectId, email, displayName, description }: AccountChange, method: 'CREATE' | 'UPDATE'): ResourceChange {
  const name = `projects/${projectId}/serviceAccounts/${email}`;
  return {
    type: 'iam.googleapis.com/ServiceAccount',
    method,
    resource: `//iam.googleapis.com/${name}`,
    shown: name,
    fields: () => ({ name, projectId, email, displayName, description }),
  };
}

function keyChange({ projectId, email, origin }: NewKey): ResourceChange {
  const account = `projects/${projectId}/serviceAccounts/${email}`;
  return {
    type: 'iam.googleapis.com/ServiceAccountKey',
    method: 'CREATE',
    resource: `//iam.googleapis.com/${account}`,
    shown: account,
    fields: () => ({ name: `${account}/keys/`, keyOrigin: origin, keyType: 'USER_MANAGED', keyAlgorithm: 'KEY_ALG_RSA_2048' }),
  };
}

const EGRESS: Readonly<Record<VpcAccess_VpcEgress, string | undefined>> = {
  [VpcAccess_VpcEgress.VPC_EGRESS_UNSPECIFIED]: undefined,
  [VpcAccess_VpcEgress.ALL_TRAFFIC]: 'all-traffic',
  [VpcAccess_VpcEgress.PRIVATE_RANGES_ONLY]: 'private-ranges-only',
};

async function* jobRefusals(engine: OrgPolicyEngine, { job, name, method }: JobChange, asker: Asker): AsyncIterable<ApiError> {
  const resource = `//run.googleapis.com/${name}`;
  const verb = method === 'CREATE' ? 'CreateJob' : 'UpdateJob';
  const location = name.split('/')[3] ?? '';
  // Where a job is, is settled when it is created.
  if (method === 'CREATE' && !(await engine.isValueAllowed('gcp.resourceLocations', resource, location, asker)))
    yield violated('gcp.resourceLocations', `attempting ${verb} with location set to ${location}`, name, location);
  const egress = EGRESS[job.template?.template?.vpcAccess?.egress ?? VpcAccess_VpcEgress.VPC_EGRESS_UNSPECIFIED];
  const authorization = job.binaryAuthorization?.binauthzMethod;
  const binauthz = authorization?.case === 'policy' ? authorization.value : authorization?.case === 'useDefault' && authorization.value ? 'default' : undefined;
  const annotations = [
    { constraint: 'run.allowedVPCEgress', annotation: 'run.googleapis.com/vpc-access-egress', value: egress },
    { constraint: 'run.allowedBinaryAuthorizationPolicies', annotation: 'run.googleapis.com/binary-authorization', value: binauthz },
  ];
  for (const { constraint, annotation, value } of annotations) {
    // What is not set is no value, which only a policy that allows all of them allows. Source: public logs of deployments that were refused.
    if (!(await engine.isAnyAllowed(constraint, resource, value === undefined ? [] : [value], asker, value ?? 'null')))
      yield violated(constraint, `attempting ${verb} with annotation "${annotation}" set to ${value ?? 'null'}`, name, value);
  }
}

/** @param value that the constraint would have to allow; without one, what it allows is worth a look */
async function refusalOf(check: Promise<void>): Promise<ApiError | undefined> {
  try {
    await check;
    return undefined;
  } catch (error) {
    if (isApiError(error)) return error;
    throw error;
  }
}

function violated(constraint: string, attempt: string, name: string, value: string | undefined) {
  const message = `Constraint constraints/${constraint} violated for ${attempt}.`;
  const project = name.split('/')[1] ?? '';
  return failedPrecondition(
    message,
    { type: `constraints/${constraint}`, subject: name, description: message },
    value === undefined
      ? { sentence: 'See which values are allowed, and set one of them:', command: `actas org-policies describe ${constraint} --project=${project} --effective` }
      : {
          sentence: `Ask someone who may set the organization policies of project ${project} to run:`,
          command: `actas resource-manager org-policies allow ${constraint} ${value} --project=${project}`,
        },
  );
}
