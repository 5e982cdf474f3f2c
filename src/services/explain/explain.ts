/**
 * actas.v1.Explanations: why somebody has a permission or not, what would change that, and who else has it.
 * Must not know: how decisions are made (policy/), or what may be shown to whom (visible-explanation.ts).
 */
import { invalidArgument } from '../../errors.ts';
import { type AccessContext, Explanations } from '../../gen/actas/v1/explain_pb.js';
import type { ExplainingAuthorizer } from '../../policy/authorizer.ts';
import type { RoleCatalogue } from '../../policy/catalogue.ts';
import type { Question } from '../../policy/decision.ts';
import { memberForm, normalMember } from '../../policy/member.ts';
import type { Store } from '../../store/database.ts';
import { findGroup } from '../../store/groups.ts';
import { fromTimestamp, type Micros } from '../../timestamp.ts';
import { type AnyService, type Call, defineService } from '../service.ts';
import { showExplanation, type Visibility, visibilityOf } from '../visible-explanation.ts';
import { toExplanation } from './explanation.ts';
import { showHolders } from './holders.ts';

export interface ExplainDeps {
  readonly authorizer: Pick<ExplainingAuthorizer, 'explain' | 'whoCan'>;
  readonly catalogue: RoleCatalogue;
  readonly store: Pick<Store, 'read'>;
}

/** As many as one identity from outside can have. */
const MAX_SETS = 500;
const MAX_NAME = 1024;

const EVERYBODY = { authenticated: true, why: 'Who may not read what an answer rests on is told UNKNOWN_INFO, whatever there is.' } as const;

export function createExplainService({ authorizer, catalogue, store }: ExplainDeps): AnyService {
  const visibility = (call: Call): Visibility => visibilityOf(call, async (email) => (await findGroup(store.read, email))?.parent);
  return defineService<typeof Explanations>({
    desc: Explanations,
    host: 'actas.internal',
    legacyErrors: false,
    denied: ({ permission, asked }) => `Permission '${permission}' denied on resource '${asked}' (or it may not exist).`,
    methods: {
      explainAccess: {
        access: EVERYBODY,
        async handle(request, call) {
          const member = checkMember(request.principal);
          if (request.principalSets.length > MAX_SETS) throw invalidArgument('principal_sets', `at most ${MAX_SETS} are taken, but there are ${request.principalSets.length}.`);
          const sets = request.principalSets.map((set, i) => checkSet(set, i));
          const question = { member, sets, ...readQuestion(request, call.now()) };
          const explanation = await authorizer.explain(question);
          const shown = await showExplanation(explanation, visibility(call));
          return toExplanation(explanation, shown, { isCaller: member === call.principal.member, catalogue });
        },
      },
      listHolders: {
        access: EVERYBODY,
        async handle(request, call) {
          const question = readQuestion(request, call.now());
          // Who holds it, and then what of that may be seen: the chain of the resource is that of any explanation.
          const [found, about] = await Promise.all([authorizer.whoCan(question), authorizer.explain({ ...question, member: 'allUsers' })]);
          return { permission: question.permission, fullResourceName: question.resource, ...(await showHolders(found, about, visibility(call))) };
        },
      },
    },
  });
}

/** @throws INVALID_ARGUMENT naming the field */
function readQuestion(
  { permission, fullResourceName, context }: { readonly permission: string; readonly fullResourceName: string; readonly context?: AccessContext },
  now: Micros,
): Omit<Question, 'member' | 'sets'> {
  // The length first: there are many ways to part a long one.
  if (permission.length > 256 || !/^[a-z][\w-]*(?:\.[\w-]+)*(?:\/[\w-]+)?(?:\.[\w-]+)+$/i.test(permission))
    throw invalidArgument('permission', `${JSON.stringify(permission.slice(0, 100))} is not a permission, for example run.jobs.run.`);
  if (!/^\/\/[^/\s]+\/[^\s]+$/.test(fullResourceName) || fullResourceName.length > 2048)
    throw invalidArgument(
      'full_resource_name',
      `${JSON.stringify(fullResourceName.slice(0, 100))} is not a full resource name, for example //cloudresourcemanager.googleapis.com/projects/demo.`,
    );
  const { host = '', path = '', time, modifiedGrantsByRole = [] } = context ?? {};
  return {
    permission,
    resource: fullResourceName,
    time: time === undefined ? now : fromTimestamp(time),
    ...(host === '' && path === '' ? {} : { request: { host, path } }),
    ...(modifiedGrantsByRole.length === 0 ? {} : { modifiedGrantsByRole }),
  };
}

function checkMember(principal: string): string {
  const form = principal.length > MAX_NAME ? 'malformed' : memberForm(principal);
  if (form !== 'email' && form !== 'public' && !(form === 'federated' && principal.startsWith('principal:')))
    throw invalidArgument(
      'principal',
      `${JSON.stringify(principal.slice(0, 100))} is not one who can ask for something. Write user:EMAIL, serviceAccount:EMAIL, group:EMAIL, principal://..., allUsers or allAuthenticatedUsers.`,
    );
  return normalMember(principal);
}

function checkSet(set: string, place: number): string {
  if (set.length > MAX_NAME || memberForm(set) !== 'federated' || !set.startsWith('principalSet:'))
    throw invalidArgument(`principal_sets[${place}]`, `${JSON.stringify(set.slice(0, 100))} does not begin with principalSet://.`);
  return set;
}
