/**
 * Policy Troubleshooter, in its three versions: the decision engine's own explanation, as far as the caller may read what it rests on.
 * Must not know: how decisions are made (policy/), or what may be shown to whom (visible-explanation.ts).
 */
import { PolicyTroubleshooter } from '../../gen/google/cloud/policytroubleshooter/iam/v3/troubleshooter_pb.js';
import { IamChecker } from '../../gen/google/cloud/policytroubleshooter/v1/checker_pb.js';
import { IamChecker as AlphaChecker } from '../../gen/google/cloud/policytroubleshooter/v2alpha1/troubleshooter_pb.js';
import type { ExplainingAuthorizer } from '../../policy/authorizer.ts';
import type { RoleCatalogue } from '../../policy/catalogue.ts';
import type { Question } from '../../policy/decision.ts';
import type { Store } from '../../store/database.ts';
import { findGroup } from '../../store/groups.ts';
import { type AnyService, type Call, defineService } from '../service.ts';
import { showExplanation, type VisibleExplanation, visibilityOf } from '../visible-explanation.ts';
import { readQuestion } from './question.ts';
import { answerV1, answerV2Alpha } from './v1.ts';
import { answerV3 } from './v3.ts';

export interface TroubleshooterDeps {
  readonly authorizer: Pick<ExplainingAuthorizer, 'explain'>;
  readonly catalogue: RoleCatalogue;
  readonly store: Pick<Store, 'read'>;
}

const EVERYBODY = { authenticated: true, why: 'Who may not read what an answer rests on is told UNKNOWN_INFO, whatever there is.' } as const;

export function createTroubleshooterServices({ authorizer, catalogue, store }: TroubleshooterDeps): readonly AnyService[] {
  const show = async (question: Question, call: Call): Promise<VisibleExplanation> => {
    const visibility = visibilityOf(call, async (email) => (await findGroup(store.read, email))?.parent);
    return showExplanation(await authorizer.explain(question), visibility);
  };
  const shared = {
    host: 'policytroubleshooter.googleapis.com',
    legacyErrors: false,
    denied: ({ permission, asked }: { permission: string; asked: string }) => `Permission '${permission}' denied on resource '${asked}' (or it may not exist).`,
  };
  return [
    defineService<typeof IamChecker>({
      ...shared,
      desc: IamChecker,
      methods: {
        troubleshootIamPolicy: {
          access: EVERYBODY,
          handle: async ({ accessTuple }, call) => answerV1(await show(readQuestion(accessTuple, catalogue, call.now()), call)),
        },
      },
    }),
    defineService<typeof AlphaChecker>({
      ...shared,
      desc: AlphaChecker,
      methods: {
        troubleshootIamPolicy: {
          access: EVERYBODY,
          handle: async ({ accessTuple }, call) => answerV2Alpha(await show(readQuestion(accessTuple, catalogue, call.now()), call)),
        },
      },
    }),
    defineService<typeof PolicyTroubleshooter>({
      ...shared,
      desc: PolicyTroubleshooter,
      methods: {
        troubleshootIamPolicy: {
          access: EVERYBODY,
          async handle(request, call) {
            const question = readQuestion(request.accessTuple, catalogue, call.now());
            return answerV3(request, question, await show(question, call));
          },
        },
      },
    }),
  ];
}
