/**
 * Attempts from their first container to their last: order of start, the exit that decides, stopping, and what a new connection
 * to the engine finds. It hides that an attempt is several containers.
 * Invariants: an attempt's exit is told once, after all its containers have ended and its address is free; a container's exit is read from the
 * engine when the engine says that it died; nothing is asked of the engine while nothing happens.
 * It must not know networks, images or logs.
 */
import type { Socket } from 'node:net';
import type Docker from 'dockerode';
import type { AttemptId, AttemptSpec, AttemptState, ContainerSpec, DriverListener } from '../driver.ts';
import { type Attempt, changed, engineTimeMs, exitFrom, type Member, memberOf, newAttempt, stateOf, when } from './attempt.ts';
import { type Flavour, memberOptions, type Naming, type Plan, type Surroundings, sandboxMounts, sandboxOptions, singleOptions, volumeOptions } from './container-options.ts';
import { createContainer, ignoring, isStatus, openVolumes, reasonOf, removeAttemptObjects, statusOf } from './engine-calls.ts';
import type { EngineEvent } from './engine-events.ts';
import { LABEL_ATTEMPT, LABEL_CONTAINER, LABEL_OWNER, LABEL_PLAN } from './labels.ts';
import { decide } from './outcome.ts';
import { runProbe } from './probe.ts';
import type { TrustImages } from './trust-image.ts';
import { partMounts, volumeParts } from './volume-parts.ts';

export interface LifecycleDeps {
  readonly docker: Docker;
  readonly naming: Naming;
  readonly listener: Pick<DriverListener, 'exited' | 'started'>;
  readonly log: { debug(fields: object, message: string): void; warn(fields: object, message: string): void };
  readonly flavour: Flavour;
  readonly surroundings: Surroundings;
  /** What is run in place of an image whose programs are to find Google's names here; absent where these lead elsewhere. */
  readonly trust?: TrustImages;
  /** Makes the sandbox's image on first use. */
  readonly ensurePause: () => Promise<void>;
  /** Where there is no way to the containers, their probes are taken as passed. */
  readonly dial?: (address: string, port: number) => Socket;
}

/** What containers get that are left over when the attempt is decided; Cloud Run's grace for a job. */
const LEFTOVER_GRACE_MS = 10_000;

export class Lifecycle {
  readonly #deps: LifecycleDeps;
  readonly #attempts = new Map<AttemptId, Attempt>();
  #isAdopting = true;

  constructor(deps: LifecycleDeps) {
    this.#deps = deps;
  }

  find(id: AttemptId): Attempt | undefined {
    return this.#attempts.get(id);
  }

  async states(): Promise<readonly AttemptState[]> {
    await Promise.all([...this.#attempts.values()].flatMap((attempt) => [...attempt.members.values()].flatMap((member) => member.settling ?? [])));
    return [...this.#attempts.values()].filter((attempt) => !attempt.removing).map(stateOf);
  }

  async start(spec: AttemptSpec): Promise<void> {
    const attempt = this.#attempts.get(spec.id) ?? newAttempt(spec.id);
    this.#attempts.set(spec.id, attempt);
    if (attempt.exit !== undefined) return;
    attempt.plan ??= spec;
    if (attempt.startedAtMs === undefined) {
      attempt.starting ??= this.#led(spec)
        .then((led) => this.#begin(attempt, led))
        .finally(() => delete attempt.starting);
      await attempt.starting;
    }
    await when(attempt, () => attempt.startedAtMs !== undefined || attempt.exit !== undefined || attempt.removing);
  }

  /** The attempt as it is to be run so that Google's names lead it here, and are trusted there; or so that they do not, where that is not to be had. */
  async #led(spec: AttemptSpec): Promise<AttemptSpec> {
    const { trust, log } = this.#deps;
    if (!spec.interceptGoogle || trust === undefined) return { ...spec, interceptGoogle: false };
    try {
      return { ...spec, containers: await Promise.all(spec.containers.map(async (container) => ({ ...container, image: await trust.of(container.image) }))) };
    } catch (error) {
      // The engine does not answer: nor would it start anything.
      if (statusOf(error) === undefined) throw error;
      log.warn(
        { attempt: spec.id, reason: reasonOf(error) },
        "Google's names do not lead this task here: its image could not be given the front door's authority. It finds the API at ACTAS_API.",
      );
      return { ...spec, interceptGoogle: false };
    }
  }

  async #begin(attempt: Attempt, spec: AttemptSpec): Promise<void> {
    attempt.plan = spec;
    try {
      for (const part of volumeParts(spec)) await this.#deps.docker.createVolume(volumeOptions(this.#deps.naming, spec, part, this.#deps.flavour));
      const [only] = spec.containers;
      // A probe wants an address to go to, and a start that can be gone on with: that is the way of several containers.
      if (only !== undefined && spec.containers.length === 1 && only.startupProbe === undefined) {
        await this.#startMember(attempt, only, singleOptions(this.#deps.naming, spec, only, this.#deps.surroundings, this.#deps.flavour));
        return;
      }
      await this.#deps.ensurePause();
      const sandbox = await createContainer(this.#deps.docker, sandboxOptions(this.#deps.naming, spec, this.#deps.surroundings, this.#deps.flavour));
      attempt.sandboxId = sandbox.id;
    } catch (error) {
      if (statusOf(error) === undefined) throw error;
      this.#fail(attempt, memberOf(attempt, spec.containers[0]?.name ?? ''), 'startFailed', reasonOf(error));
      return;
    }
    // Answers with the first container; the others go on behind.
    const all = this.#runPlan(attempt, spec);
    await Promise.race([all, when(attempt, () => attempt.startedAtMs !== undefined || attempt.exit !== undefined)]);
    all.catch((error: unknown) =>
      this.#deps.log.warn({ attempt: attempt.id, err: error }, 'An attempt of several containers could not be started completely; it goes on when the engine answers again.'),
    );
  }

  /** Brings up whatever of the plan is not up yet. Idempotent, so an interrupted start is gone on with. */
  async #runPlan(attempt: Attempt, plan: Plan): Promise<void> {
    const { docker, naming, flavour } = this.#deps;
    const signal = attempt.halt.signal;
    if (attempt.sandboxId === undefined) return;
    const sandbox = docker.getContainer(attempt.sandboxId);
    try {
      await openVolumes(sandbox, sandboxMounts(plan));
      // 304: it runs already.
      await sandbox.start().catch(ignoring(304));
    } catch (error) {
      if (statusOf(error) === undefined) throw error;
      this.#fail(attempt, memberOf(attempt, plan.containers[0]?.name ?? ''), 'startFailed', reasonOf(error));
      return;
    }
    const address = Object.values((await sandbox.inspect()).NetworkSettings.Networks)[0]?.IPAddress;
    const passed = new Map(plan.containers.map((container) => [container.name, Promise.withResolvers<void>()]));
    const bringUp = async (container: ContainerSpec) => {
      await Promise.race([Promise.all(container.dependsOn.flatMap((name) => passed.get(name)?.promise ?? [])), when(attempt, () => signal.aborted, signal)]);
      if (signal.aborted) return;
      const member = memberOf(attempt, container.name);
      if (member.state === 'absent' || member.state === 'created') await this.#startMember(attempt, container, memberOptions(naming, plan, container, flavour));
      const { dial } = this.#deps;
      if (container.startupProbe !== undefined && member.exit === undefined && dial !== undefined && address !== undefined && address !== '') {
        const reason = await runProbe(container.startupProbe, (port) => dial(address, port), signal).catch((error: unknown) =>
          signal.aborted ? 'stopped' : Promise.reject(error),
        );
        if (signal.aborted) return;
        if (reason !== undefined) return this.#probeFailed(attempt, member, reason);
      }
      if (member.exit === undefined || member.exit.exitCode === 0) passed.get(container.name)?.resolve();
    };
    await Promise.all(plan.containers.map(bringUp));
  }

  async #startMember(attempt: Attempt, container: ContainerSpec, options: Docker.ContainerCreateOptions): Promise<void> {
    const member = memberOf(attempt, container.name);
    try {
      const created = await this.#create(options);
      member.dockerId = created.id;
      if (member.state === 'absent') member.state = 'created';
      if (container.mounts.length > 0 && attempt.plan !== undefined && attempt.sandboxId === undefined) await openVolumes(created, partMounts(attempt.plan, container));
      if (attempt.halt.signal.aborted) return this.#evaluate(attempt);
      await created.start().catch(ignoring(304));
    } catch (error) {
      if (statusOf(error) === undefined) throw error;
      this.#fail(attempt, member, 'startFailed', reasonOf(error));
    }
  }

  async #create(options: Docker.ContainerCreateOptions): Promise<Docker.Container> {
    const { docker, trust } = this.#deps;
    try {
      return await createContainer(docker, options);
    } catch (error) {
      // Somebody tidied the engine's images up.
      const again = isStatus(error, 404) ? await trust?.renew(options.Image ?? '') : undefined;
      if (again === undefined) throw error;
      return createContainer(docker, { ...options, Image: again });
    }
  }

  #probeFailed(attempt: Attempt, member: Member, message: string): void {
    // Said before the container is killed, so that its exit by our signal is not what counts.
    member.exit = { cause: 'probeFailed', message, finishedAtMs: Date.now() };
    this.#evaluate(attempt);
  }

  #fail(attempt: Attempt, member: Member, cause: 'startFailed' | 'lost', message: string): void {
    if (member.exit !== undefined) return;
    member.state = 'exited';
    member.exit = { cause, message, finishedAtMs: Date.now() };
    this.#evaluate(attempt);
  }

  handle(event: EngineEvent): void {
    const id = event.labels[LABEL_ATTEMPT];
    const attempt = id === undefined ? undefined : this.#attempts.get(id);
    const name = event.labels[LABEL_CONTAINER];
    // The sandbox says nothing about the attempt: its members end by themselves or with it.
    if (attempt === undefined || attempt.removing || name === undefined) return;
    const member = memberOf(attempt, name);
    member.dockerId ??= event.containerId;
    if (event.action !== 'destroy') this.#settle(attempt, member);
    else this.#fail(attempt, member, 'lost', 'The container was removed by somebody else.');
  }

  #noteStart(attempt: Attempt, member: Member, atMs: number): void {
    if (member.state !== 'exited') member.state = 'running';
    if (attempt.startedAtMs === undefined) {
      attempt.startedAtMs = atMs;
      if (!this.#isAdopting) this.#deps.listener.started(attempt.id, atMs);
    }
    // Somebody asked it to stop while it was being started.
    if (attempt.halt.signal.aborted && member.state === 'running') this.#signal(member, 'SIGTERM');
    changed(attempt);
  }

  /**
   * Reads when a container began and how it ended; the events' own times differ from what the engine keeps, and a short program's end may lie before its start there.
   * The engine answers after it has taken an ended container's network down, so the address is free by then.
   */
  #settle(attempt: Attempt, member: Member): void {
    const { dockerId } = member;
    if (dockerId === undefined) return;
    const read = async () => {
      try {
        const { State: state } = await this.#deps.docker.getContainer(dockerId).inspect();
        const exit = exitFrom(state, Date.now());
        const startedAtMs = engineTimeMs(state.StartedAt);
        if (startedAtMs !== undefined) this.#noteStart(attempt, member, startedAtMs);
        if (exit === undefined) return;
        member.state = 'exited';
        member.exit ??= exit;
        this.#evaluate(attempt);
      } catch (error) {
        if (isStatus(error, 404)) this.#fail(attempt, member, 'lost', 'The container is gone.');
        // Otherwise the engine is away: the next connection looks again.
        else this.#deps.log.debug({ attempt: attempt.id, err: error }, 'A container ended, but its exit could not be read yet.');
      }
    };
    // After a reading that is under way: it may have looked before this event.
    const settling: Promise<void> = (member.settling ?? Promise.resolve()).then(read).finally(() => {
      if (member.settling === settling) delete member.settling;
    });
    member.settling = settling;
  }

  /** Ends the attempt where it is decided and nothing of it runs any more. */
  #evaluate(attempt: Attempt): void {
    changed(attempt);
    const { plan } = attempt;
    if (attempt.exit !== undefined || attempt.finishing || attempt.removing) return;
    const members = [...attempt.members.values()];
    const exits = members.flatMap((member) => (member.exit === undefined ? [] : [{ container: member.name, exit: member.exit }]));
    const decided = decide(plan?.containers ?? members.map((member) => ({ name: member.name, dependsOn: [] })), exits);
    if (decided === undefined && !attempt.halt.signal.aborted) return;
    const running = members.filter((member) => member.state === 'running');
    if (running.length > 0) {
      if (decided !== undefined && !attempt.halt.signal.aborted) this.#terminate(attempt, LEFTOVER_GRACE_MS);
      return;
    }
    attempt.finishing = true;
    const last = exits.sort((a, b) => a.exit.finishedAtMs - b.exit.finishedAtMs).at(-1);
    const exit = decided?.exit ?? last?.exit ?? { cause: 'exited' as const, signal: 15, message: 'It was stopped before its first container ran.', finishedAtMs: Date.now() };
    void this.#finish(attempt, { ...exit, id: attempt.id, ...(attempt.startedAtMs === undefined ? {} : { startedAtMs: attempt.startedAtMs }) });
  }

  async #finish(attempt: Attempt, exit: NonNullable<Attempt['exit']>): Promise<void> {
    attempt.halt.abort();
    for (const timer of attempt.timers) clearTimeout(timer);
    if (attempt.sandboxId !== undefined)
      await this.#deps.docker
        .getContainer(attempt.sandboxId)
        .kill()
        .catch((error: unknown) => this.#deps.log.debug({ attempt: attempt.id, err: error }, 'The sandbox had ended already.'));
    attempt.exit = exit;
    changed(attempt);
    if (!this.#isAdopting && !attempt.removing) this.#deps.listener.exited(exit);
  }

  stop(id: AttemptId, graceMs: number): void {
    const attempt = this.#attempts.get(id);
    if (attempt === undefined || attempt.exit !== undefined) return;
    this.#terminate(attempt, graceMs);
    if (attempt.starting === undefined) this.#evaluate(attempt);
  }

  #terminate(attempt: Attempt, graceMs: number): void {
    attempt.halt.abort();
    const signalAll = (signal: 'SIGTERM' | 'SIGKILL') => {
      for (const member of attempt.members.values()) if (member.state === 'running') this.#signal(member, signal);
    };
    signalAll('SIGTERM');
    const timer = setTimeout(() => {
      attempt.timers.delete(timer);
      signalAll('SIGKILL');
    }, graceMs);
    attempt.timers.add(timer);
  }

  #signal(member: Member, signal: 'SIGTERM' | 'SIGKILL'): void {
    if (member.dockerId === undefined) return;
    // Not running any more, or gone: then its end is told by the event, or by the next connection.
    this.#deps.docker
      .getContainer(member.dockerId)
      .kill({ signal })
      .catch((error: unknown) => this.#deps.log.debug({ container: member.name, signal, err: error }, 'A signal came too late.'));
  }

  /** Compares what we know with what the engine has. The first time it learns what a former process left. */
  async resync(): Promise<void> {
    const { docker, naming } = this.#deps;
    const listed = await docker.listContainers({ all: true, filters: { label: [`${LABEL_OWNER}=${naming.dataDirId}`] } });
    const seen = new Set(listed.map((container) => container.Id));
    for (const { Id: dockerId, Labels: labels, State: state } of listed) {
      const id = labels[LABEL_ATTEMPT];
      if (id === undefined) continue;
      const attempt = this.#attempts.get(id) ?? newAttempt(id);
      this.#attempts.set(id, attempt);
      const name = labels[LABEL_CONTAINER];
      if (name === undefined) {
        attempt.sandboxId = dockerId;
        const plan = labels[LABEL_PLAN];
        // We wrote it ourselves, in sandboxOptions.
        if (plan !== undefined) attempt.plan ??= JSON.parse(plan) as Plan;
        continue;
      }
      const member = memberOf(attempt, name);
      member.dockerId = dockerId;
      if (member.state === 'absent') member.state = 'created';
      // Also one that runs is read once: for when it began, or whether its start failed.
      if (member.exit === undefined && (this.#isAdopting || state !== 'created')) this.#settle(attempt, member);
    }
    await Promise.all([...this.#attempts.values()].flatMap((attempt) => [...attempt.members.values()].flatMap((member) => member.settling ?? [])));
    for (const attempt of this.#attempts.values()) {
      for (const member of attempt.members.values())
        if (member.dockerId !== undefined && !seen.has(member.dockerId) && member.exit === undefined && attempt.starting === undefined && !attempt.removing)
          this.#fail(attempt, member, 'lost', 'The container vanished while the engine was away.');
      if (attempt.plan !== undefined && attempt.sandboxId !== undefined && attempt.exit === undefined && attempt.starting === undefined) this.#resume(attempt, attempt.plan);
    }
    await Promise.all([...this.#attempts.values()].filter((attempt) => attempt.finishing).map((attempt) => when(attempt, () => attempt.exit !== undefined)));
    this.#isAdopting = false;
  }

  /** Goes on with a start that a crash or the engine's absence cut short. */
  #resume(attempt: Attempt, plan: Plan): void {
    this.#evaluate(attempt);
    const missing = plan.containers.some((container) => ['absent', 'created'].includes(memberOf(attempt, container.name).state));
    if (!missing || attempt.halt.signal.aborted || attempt.finishing) return;
    attempt.starting = this.#runPlan(attempt, plan)
      .catch((error: unknown) => this.#deps.log.warn({ attempt: attempt.id, err: error }, 'An interrupted start could not be gone on with.'))
      .finally(() => delete attempt.starting);
  }

  async remove(id: AttemptId): Promise<void> {
    const attempt = this.#attempts.get(id);
    if (attempt !== undefined) {
      attempt.removing = true;
      attempt.halt.abort();
      for (const timer of attempt.timers) clearTimeout(timer);
      changed(attempt);
    }
    await removeAttemptObjects(this.#deps.docker, this.#deps.naming, id);
    this.#attempts.delete(id);
  }

  /** Lets go; with `kill` nothing of ours runs afterwards. */
  async close(kill: boolean): Promise<void> {
    const { docker } = this.#deps;
    for (const attempt of this.#attempts.values()) {
      attempt.removing = true;
      attempt.halt.abort();
      for (const timer of attempt.timers) clearTimeout(timer);
      changed(attempt);
    }
    await Promise.allSettled([...this.#attempts.values()].flatMap((attempt) => attempt.starting ?? []));
    if (!kill) return;
    // The network's own containers have no attempt: the network ends them.
    const running = await docker.listContainers({ filters: { label: [`${LABEL_OWNER}=${this.#deps.naming.dataDirId}`, LABEL_ATTEMPT] } });
    await Promise.all(
      running.map(async ({ Id: id }) => {
        const container = docker.getContainer(id);
        await container.kill().catch(ignoring(404, 409));
        await container.wait().catch(ignoring(404));
      }),
    );
  }
}
