import { create, fromJson } from '@bufbuild/protobuf';
import type { Config } from '../config.ts';
import { JobSchema, Jobs, UpdateJobRequestSchema } from '../gen/google/cloud/run/v2/job_pb.js';
import { parsePrincipal } from '../identity/principal.ts';
import { applySeed } from '../seed/apply.ts';
import { defaultSeed, type Seed } from '../seed/seed.ts';
import { createDispatch, type DispatchDeps } from '../server/dispatch.ts';
import type { Api } from '../services/service.ts';
import type { Store } from '../store/database.ts';
import { systemClock } from '../timestamp.ts';
import type { SeedSources } from './seed-secret.ts';

/** Applies the seed's declarations, or organization, folder and project of the default. Each is applied once. */
export async function seedOnStart(config: Config, seed: Seed | undefined, store: Store, apis: readonly Api[], deps: DispatchDeps, env: SeedSources['env']): Promise<void> {
  // A seed is the word of whoever owns the data directory: its jobs go the way of every request, but nobody's policy can refuse them.
  const trusted = createDispatch({
    ...deps,
    authenticate: () => ({ principal: parsePrincipal(config.owner) }),
    authorizer: { decide: () => ({ allowed: true, unevaluatedRoles: [] }), invalidate: () => undefined },
    audit: () => undefined,
  });
  const transport = (about: object) => ({
    door: 'internal' as const,
    authorization: 'Bearer seed',
    peer: { address: '', isLocal: true },
    userAgent: undefined,
    signal: new AbortController().signal,
    warn: (message: string) => deps.log.warn(about, message),
  });
  const api = apis.find(({ services }) => services.some(({ typeName }) => typeName === Jobs.typeName));
  const jobs = (await api?.load())?.find(({ desc }) => desc.typeName === Jobs.typeName);
  if (jobs === undefined) throw new Error('the Cloud Run jobs service is missing');
  await applySeed(seed ?? defaultSeed(config.owner), {
    store,
    clock: systemClock,
    catalogue: deps.catalogue,
    async applyJob(name, job) {
      const request = create(UpdateJobRequestSchema, { job: fromJson(JobSchema, { ...job, name }), allowMissing: true });
      await trusted.unary(jobs, Jobs.method.updateJob, () => request, transport({ job: name }));
    },
    async applySecret(name, declared, value) {
      const { applySeedSecret } = await import('./seed-secret.ts');
      await applySeedSecret(trusted, apis, transport({ secret: name }), { name, declared, value }, { seedFile: config.seed ?? '', env });
    },
    async applyDenyPolicy(node, id, policy) {
      const { applySeedDenyPolicy } = await import('./seed-deny-policy.ts');
      await applySeedDenyPolicy(trusted, apis, transport({ denyPolicy: id }), node, id, policy);
    },
    async services() {
      const { seedServices } = await import('./seed-services.ts');
      return seedServices(trusted, apis, transport({ seed: 'tags and pools' }));
    },
  });
}
