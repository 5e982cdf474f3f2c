/**
 * actas.v1.JobChecks: the questions of check-job.ts, answered from this control plane's own state.
 *
 * Whom a caller may ask about: itself always; others where it holds resourcemanager.projects.getIamPolicy on the job's project. Answers that
 * depend on other policies (the account's, those of a repository's project, organization policies) are told to who may read those, else they
 * are unknown. The owner's token may ask everything. About itself a caller hears what its own deploy would tell it, and no more.
 */

import { permissionDenied } from '../../errors.ts';
import { JobChecks, CheckJobRequest_Purpose as Purpose, Finding_State as State, Finding_Topic as Topic } from '../../gen/actas/v1/check_pb.js';
import { type Job } from '../../gen/google/cloud/run/v2/job_pb.js';
import { type Principal, parsePrincipal } from '../../identity/principal.ts';
import type { RoleCatalogue } from '../../policy/catalogue.ts';
import { remedyFor } from '../../policy/remedy.ts';
import { findJob, jobFromRow } from '../../store/jobs.ts';
import { type AnyService, type Call, type Check, defineService } from '../service.ts';
import { type Asker, checkJob } from './check-job.ts';
import { constraintRefusals } from './constraints.ts';
import { parseJobName, requirePlace, resource, storedName } from './places.ts';
import { DENIED, type RunDeps } from './run-deps.ts';
import { storeFacts } from './store-facts.ts';

export interface CheckDeps extends RunDeps {
  /** Finds the roles of remedies. */
  readonly catalogue: RoleCatalogue;
}

export function createJobCheckService(deps: CheckDeps): AnyService {
  return defineService<typeof JobChecks>({
    desc: JobChecks,
    host: 'actas.internal',
    legacyErrors: false,
    denied: DENIED,
    methods: {
      checkJob: {
        access: {
          checks: ({ name, definition }) => {
            parseJobName(name, 'name');
            return definition.case === undefined ? [{ permission: 'run.jobs.get', resource: resource(name) }] : [];
          },
        },
        async handle(request, call) {
          const principal = request.principal === '' ? call.principal : parsePrincipal(request.principal);
          const isSelf = principal.member === call.principal.member;
          if (!isSelf && call.principal.administrator !== true) await call.authorize(readPolicies(request.name));
          const purpose = request.purpose === Purpose.DEPLOY ? 'DEPLOY' : request.purpose === Purpose.RUN ? 'RUN' : 'BOTH';
          const report = await checkJob({ ...request, purpose }, storeAsker(deps, call, principal, isSelf));
          const findings = report.findings.map((finding) => ({ ...finding, topic: Topic[finding.topic], state: State[finding.state] }));
          return { name: request.name, principal: principal.member, serviceAccount: report.serviceAccount, state: State[report.state], findings };
        },
      },
    },
  });
}

function readPolicies(name: string): Check {
  const { projects } = parseJobName(name, 'name');
  return { permission: 'resourcemanager.projects.getIamPolicy', resource: `//cloudresourcemanager.googleapis.com/projects/${projects}` };
}

function storeAsker(deps: CheckDeps, call: Call, principal: Principal, isSelf: boolean): Asker {
  const { store, catalogue } = deps;
  const { member } = principal;
  const isAllowed = (check: Check) => call.isMemberAllowed(member, check);
  const mayKnow = async (check: Check) => call.principal.administrator === true || (await call.isAllowed(check));
  return {
    isSelf,
    asksSecrets: true,
    facts: storeFacts(deps, { member, onlyAsks: true }),
    call: {
      isAllowed,
      isMemberAllowed: (other, check) => call.isMemberAllowed(other, check),
      // Not call.authorize: it would write to the audit trail that somebody acted as the account.
      async authorize(check, message) {
        if (await isAllowed(check)) return;
        const asked = check.asked ?? check.resource.replace(/^\/\/[^/]+\//, '');
        throw permissionDenied(
          message ?? DENIED({ ...check, asked }),
          { permission: check.permission, resource: asked, domain: 'run.googleapis.com' },
          remedyFor({ member, permission: check.permission, resource: check.resource }, catalogue),
        );
      },
    },
    async untold(check) {
      if (await mayKnow(check)) return undefined;
      const asked = check.resource.replace(/^\/\/[^/]+\//, '');
      return isSelf ? `Not told before what is missing above is mended, but to who has ${check.permission} on ${asked}.` : `Told to who has ${check.permission} on ${asked}.`;
    },
    place: (parts) => requirePlace(store.read, parts),
    async stored(name): Promise<Job | null | undefined> {
      if (!(await mayKnow({ permission: 'run.jobs.get', resource: resource(name) }))) return undefined;
      const row = await findJob(store.read, await storedName(store.read, name));
      return row === undefined ? null : jobFromRow(row);
    },
    constraints: (change, project) => constraintRefusals(deps, change, project, { member, onlyAsks: true }),
  };
}
