/**
 * Decisions: 100,000 distinct questions, half of them answered no, one in twenty by a deny rule, a fifth of the bindings conditional, groups in groups; a policy is
 * written every 1,000 decisions. Every answer is held against a plain evaluator. Nothing remembers a decision.
 */
import { newEnforcer, newModelFromString } from 'casbin';
import { type Authorizer, createAuthorizer } from '../src/policy/authorizer.ts';
import { loadCatalogue } from '../src/policy/catalogue.ts';
import { CONDITIONS, NOW_MICROS, type Triple, World, type Write } from './policy-world.ts';
import type { Figure } from './run.ts';

const QUESTIONS = 100_000;
const WRITE_EVERY = 1000;
const ROUNDS = 3;
const GOAL_PER_SECOND = 1_000_000;
/** It needs a hundred times as long. */
const CASBIN_QUESTIONS = 500;

export async function policyCheck(): Promise<readonly Figure[]> {
  const catalogue = loadCatalogue();
  const [few, many] = [new World(100, catalogue), new World(10_000, catalogue)];
  const small = await measure(few, catalogue);
  const large = await measure(many, catalogue);
  const casbin = await measureCasbin(few);
  const unit = 'decisions/s';
  return [
    {
      name: 'policy-check',
      what: `decisions over 100 bindings on ten levels, and ${GOAL_PER_SECOND} a second`,
      unit,
      ours: small,
      plain: GOAL_PER_SECOND,
      ratio: small / GOAL_PER_SECOND,
      goal: { atLeast: 1 },
    },
    { name: 'policy-check', what: 'decisions over 10,000 bindings on ten levels, and over 100', unit, ours: large, plain: small, ratio: large / small, goal: { atLeast: 0.5 } },
    {
      name: 'policy-check',
      what: 'decisions over 100 bindings, and those of casbin (npm) on the same rules',
      unit,
      ours: small,
      plain: casbin,
      ratio: small / casbin,
      goal: { atLeast: 10 },
    },
  ];
}

/** @returns decisions per second of processor time, the median of some rounds; throws where an answer is wrong */
async function measure(world: World, catalogue: ReturnType<typeof loadCatalogue>): Promise<number> {
  const triples = world.triples(QUESTIONS);
  const authorizer = createAuthorizer({ source: world.source(), catalogue, now: () => NOW_MICROS });
  const rates: number[] = [];
  for (let round = 0; round <= ROUNDS; round++) {
    const parts = planRound(world, triples);
    const answers = new Uint8Array(triples.length);
    const began = cpuMillis();
    await decideAll(authorizer, world, parts, answers);
    const millis = cpuMillis() - began;
    verify(parts, answers);
    // The first round reads everything for the first time.
    if (round > 0) rates.push(triples.length / (millis / 1000));
  }
  return rates.sort((a, b) => a - b)[Math.floor(rates.length / 2)] ?? 0;
}

/** What this thread has used of its core: others on the machine do not count. */
function cpuMillis(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1000;
}

/** What is written before some questions are asked, and what they are to be answered then. */
interface Part {
  readonly write: Write;
  readonly triples: readonly Triple[];
  readonly expected: readonly boolean[];
}

function planRound(world: World, triples: readonly Triple[]): readonly Part[] {
  const parts: Part[] = [];
  for (let begin = 0; begin < triples.length; begin += WRITE_EVERY) {
    const some = triples.slice(begin, begin + WRITE_EVERY);
    const write = world.write();
    parts.push({ write, triples: some, expected: some.map((triple) => world.answer(triple) === 'allowed') });
  }
  return parts;
}

async function decideAll(authorizer: Authorizer, world: World, parts: readonly Part[], answers: Uint8Array): Promise<void> {
  let at = 0;
  for (const { write, triples } of parts) {
    world.publish(write);
    authorizer.invalidate({ policyOf: write.node });
    for (const triple of triples) {
      const decision = authorizer.decide(triple);
      answers[at++] = (decision instanceof Promise ? await decision : decision).allowed ? 1 : 0;
    }
  }
}

function verify(parts: readonly Pick<Part, 'triples' | 'expected'>[], answers: Uint8Array): void {
  let at = 0;
  for (const { triples, expected } of parts)
    for (const [i, triple] of triples.entries())
      if (expected[i] !== (answers[at++] === 1)) throw new Error(`${JSON.stringify(triple)} was answered wrongly: ${expected[i]} is right`);
}

const MODEL = `
[request_definition]
r = sub, obj, act
[policy_definition]
p = sub, obj, role, cond, eft
[role_definition]
g = _, _
g2 = _, _
[policy_effect]
e = some(where (p.eft == allow)) && !some(where (p.eft == deny))
[matchers]
m = g(r.sub, p.sub) && g2(r.obj, p.obj) && holds(p.role, r.act) && applies(p.cond)
`;

async function measureCasbin(world: World): Promise<number> {
  const enforcer = await newEnforcer(newModelFromString(MODEL));
  await enforcer.addFunction('holds', (role: string, act: string) => role === act || world.holds(role, act));
  await enforcer.addFunction('applies', (condition: string) => condition === '' || CONDITIONS[Number(condition)]?.[1] === true);
  for (const [member, groups] of world.parents) for (const group of groups) await enforcer.addGroupingPolicy(member, group);
  const links = new Set<string>();
  for (const up of world.above.values())
    for (const [i, node] of up.entries()) {
      const parent = up[i + 1];
      if (parent === undefined || links.has(node)) continue;
      links.add(node);
      await enforcer.addNamedGroupingPolicy('g2', node, parent);
    }
  const rules = [
    ...[...world.bindings].flatMap(([node, bindings]) =>
      bindings.map(({ member, role, condition }) => [member, node, role, condition === undefined ? '' : String(condition), 'allow']),
    ),
    ...[...world.denials].flatMap(([node, denials]) => denials.map(({ member, permission }) => [member, node, permission, '', 'deny'])),
  ];
  for (const rule of rules) await enforcer.addPolicy(...rule);
  const triples = world.triples(CASBIN_QUESTIONS);
  const answers = new Uint8Array(triples.length);
  const began = cpuMillis();
  for (const [at, { member, resource, permission }] of triples.entries()) answers[at] = (await enforcer.enforce(member, resource, permission)) ? 1 : 0;
  const millis = cpuMillis() - began;
  verify([{ triples, expected: triples.map((triple) => world.answer(triple) === 'allowed') }], answers);
  return triples.length / (millis / 1000);
}
