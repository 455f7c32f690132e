import { constants } from 'node:os';
import { join } from 'node:path';
import { neverAborts } from '../../base/abort.ts';
import { HyprError } from '../../base/errors.ts';
import { traced } from '../../base/trace/trace.ts';
import type { Project } from '../../compose/model/model.ts';
import { EventBus } from '../logs/bus.ts';
import { lastLinesOf } from '../logs/last-lines.ts';
import { type LogStore, openLogStore } from '../logs/logs.ts';
import { noteRun } from '../logs/new-run.ts';
import { Refusals } from '../logs/refusals.ts';
import type { AcceptDocker } from '../machine/docker-sockets.ts';
import { hasMachine } from '../model/lifecycle.ts';
import { nothingToRemove } from '../model/notices.ts';
import type { NetworkChange, ReplicaUpdate } from '../model/object-types.ts';
import type { Platform } from '../model/platform.ts';
import { signalNumber } from '../model/signals.ts';
import type { DownOptions, ServiceVerb, UpOptions, VerbOptions } from '../model/types.ts';
import type { DesiredStack } from '../plan/desired.ts';
import { observeStack } from '../plan/observe.ts';
import { reconcileStop } from '../plan/reconcile-stop.ts';
import { reconcileVerb } from '../plan/reconcile-verb.ts';
import { machineSharing } from '../replica/machine-sharing.ts';
import { Replica, type ReplicaContext } from '../replica/replica.ts';
import { oneOffUpOptions } from '../resolve/one-off.ts';
import { StackNetworks } from '../resources/networks.ts';
import { PeerPolicies } from '../resources/peer-policies.ts';
import { StackVolumes } from '../resources/volumes.ts';
import type { VmRow } from '../state/records.ts';
import type { StateStore } from '../state/store.ts';
import { type BringUpGoal, prepareBringUp } from './bring-up.ts';
import { Changes } from './changes.ts';
import { downGoal, removableImages } from './down-goal.ts';
import { type FilesAtRest, openFilesAtRest } from './files-at-rest.ts';
import { PublishedStackNames } from './names/stack-names.ts';
import { startAgainOnNetwork } from './network-loss.ts';
import { OneOffs } from './one-offs.ts';
import { Operations } from './operations/operation-queue.ts';
import type { OperationContext } from './operations/operations.ts';
import { recordStack } from './record-stack.ts';
import { recoverStack } from './recover.ts';
import { type PlanRun, runPlan, runSuspend } from './run-plan.ts';
import { forgetStack } from './stack-record.ts';
import { awaitFirstEnd, awaitReady } from './stack-waits.ts';
import { UsageSampler } from './usage.ts';
import { guestsOf, onVolumeLost } from './volume-loans.ts';

export interface SupervisorOptions {
  readonly stack: string;
  readonly store: StateStore;
  readonly platform: Platform;
  /** Undefined: nobody answers. */
  readonly acceptDocker?: AcceptDocker;
}

/**
 * Owns one stack: its replicas, networks, volumes and logs. Operations run one after the other; one that takes things down
 * interrupts one that brings them up.
 */
export class StackSupervisor {
  readonly bus = new EventBus();
  readonly replicas = new Map<string, Replica>();
  readonly logs: LogStore;
  readonly networks: StackNetworks;
  readonly volumes: StackVolumes;
  readonly oneOffs: OneOffs;
  readonly usage: UsageSampler;
  readonly names: PublishedStackNames;
  readonly #options: SupervisorOptions;
  readonly #context: ReplicaContext;
  readonly #operations: Operations;
  readonly #changes: Changes;
  readonly #policies: PeerPolicies;
  readonly #stopRecording: () => void;
  /** Called when no replica and no operation runs. */
  onIdle: () => void = () => {};

  constructor(options: SupervisorOptions) {
    const { stack, store, platform } = options;
    this.#options = options;
    this.logs = openLogStore(join(platform.paths.logs, stack));
    this.#stopRecording = recordStack(this.bus, { stack, store, folder: platform.paths.events });
    const refusals = new Refusals({ bus: this.bus, serviceOf: (name) => this.replicas.get(name)?.row.service });
    this.networks = new StackNetworks({
      stack,
      store,
      platform,
      onLost: (key, detail) => void startAgainOnNetwork({ key, detail, replicas: this.replicas, bus: this.bus }),
      onEvent: (event) => refusals.tellOf(event, (address) => this.#nameOf(address)),
      onNames: () => this.#changes.note(),
    });
    this.#policies = new PeerPolicies({
      stack,
      store,
      networks: this.networks,
      project: () => this.project(),
      vms: () => this.liveRows(),
    });
    this.volumes = new StackVolumes({ stack, store, platform, awaitGuest: guestsOf(this) });
    this.names = new PublishedStackNames({ stack, store, runDir: platform.runDir, replicas: this.replicas, bus: this.bus });
    this.usage = new UsageSampler({ replicas: this.replicas, bus: this.bus });
    this.#operations = new Operations(this.bus, () => this.#changes.flush());
    this.#changes = new Changes({
      replicas: this.replicas,
      networks: this.networks,
      liveRows: () => this.liveRows(),
      onSettled: () => this.isIdle && this.onIdle(),
    });
    this.oneOffs = new OneOffs({
      logs: this.logs,
      bus: this.bus,
      replicas: this.replicas,
      bringUp: (project, oneOff, signal) => this.#bringUp('run', { project, options: oneOffUpOptions(oneOff.options), oneOff }, signal),
      busy: (work) => this.#operations.keepBusy(work),
      forget: () => forgetStack(options, { networks: this.networks }),
    });
    const self = this;
    this.#context = {
      platform,
      store,
      networks: this.networks,
      volumes: this.volumes,
      logs: this.logs,
      bus: this.bus,
      refusals,
      policies: this.#policies,
      sharing: machineSharing(this.replicas),
      get environment() {
        return self.project()?.environment ?? {};
      },
      vms: () => this.liveRows(),
      onVolumeLost: (name, lost) => void onVolumeLost(this, name, lost),
      onMachine: () => {},
      acceptDocker: options.acceptDocker ?? ((_, connection) => connection.destroy()),
      onChange: () => this.#changes.note(),
      onLeft: (name) => void this.oneOffs.remove(name),
    };
  }

  /** When the stack was recorded; undefined before its first `up`. */
  createdAt(): number | undefined {
    return this.#options.store.stack(this.#options.stack)?.createdAt;
  }

  project(): Project | undefined {
    return this.#options.store.stack(this.#options.stack)?.project;
  }

  #nameOf(address: string): string | undefined {
    const id = this.#options.store.leases(this.#options.stack).find(({ ip, ip6 }) => ip === address || ip6 === address)?.vmId;
    return [...this.replicas.values()].find(({ row }) => row.id === id)?.row.name;
  }

  /** Rows whose names guests can look up: created, starting or running. */
  liveRows() {
    return [...this.replicas.values()].map((replica) => replica.row).filter((row) => row.state !== 'exited' && row.state !== 'dead');
  }

  get operationTotals() {
    return this.#operations.totals;
  }

  get isIdle(): boolean {
    return !this.goesOn() && !this.#operations.isBusy;
  }

  /** Whether an operation runs, or one of the chosen replicas has a machine or will get one. */
  goesOn(isChosen: (row: VmRow) => boolean = () => true): boolean {
    const lives = ({ row }: Replica) => isChosen(row) && (hasMachine(row.state) || row.state === 'restarting');
    return this.#operations.areUnderWay || [...this.replicas.values()].some(lives);
  }

  /** Loads the stack as an earlier supervisor left it; returns messages about what was found and repaired. */
  async recover(signal: AbortSignal): Promise<string[]> {
    const { store, stack } = this.#options;
    for (const row of store.vms(stack)) {
      noteRun(Math.max(row.createdAt, row.run ?? 0));
      this.replicas.set(row.name, new Replica(row, this.#context));
    }
    const { replicas, networks, volumes, bus } = this;
    const found = await recoverStack({ stack, store, replicas, networks, volumes, bus }, signal);
    await this.oneOffs.removeLeft();
    this.#changes.note();
    return found;
  }

  async up(project: Project, options: UpOptions, signal: AbortSignal): Promise<void> {
    await this.#bringUp('up', { project, options }, signal);
  }

  async #bringUp(verb: string, goal: BringUpGoal, signal: AbortSignal): Promise<void> {
    const { options } = goal;
    await this.#operations.run({ name: verb, kind: 'up', signal }, async (running) => {
      const of = { ...this.#options, bus: this.bus, logs: this.logs, replicas: this.replicas, policies: this.#policies };
      const { plan, desired, images, services } = await prepareBringUp(of, goal, running);
      await runPlan(plan, this.#planRun({ desired, images }), running);
      if (options.wait && !options.noStart) {
        await traced('wait until ready', undefined, () => this.#awaitReady(services, options.waitTimeout, running));
      }
    });
  }

  async down(project: Project | undefined, options: DownOptions, signal: AbortSignal): Promise<void> {
    await this.#operations.run({ name: 'down', kind: 'down', signal }, async (running) => {
      const { store, stack, platform } = this.#options;
      const model = project ?? this.project();
      const whole = options.services.length === 0;
      const images = await removableImages(platform, this.replicas, model, options);
      const goal = downGoal(this.#options, { model, given: project, options, replicas: this.replicas, images });
      const plan = reconcileStop(goal, observeStack(store, stack));
      if (whole && plan.nodes.length === 0) {
        this.bus.emit({ type: 'warning', message: nothingToRemove(stack) });
      }
      await runPlan(plan, this.#planRun(), running);
      if (whole && this.replicas.size === 0) {
        await forgetStack(this.#options, { volumes: options.volumes });
      }
    });
  }

  async verb(verb: ServiceVerb, project: Project | undefined, options: VerbOptions, signal: AbortSignal): Promise<void> {
    // A signal to one service, a pause or the removal of ended replicas does not interrupt an `up`.
    const ends = verb === 'stop' || (verb === 'rm' && options.stop) || (verb === 'kill' && isDeadly(options.signal));
    const kind = ends ? 'down' : 'up';
    // Of single services it waits for a restart of others, which would be left stopped.
    const spares = options.services.length > 0 || options.replicas.length > 0 ? ['restart'] : [];
    // Half a restart would leave a service stopped: as in docker it is carried out also when its command has gone.
    const until = verb === 'restart' ? neverAborts() : signal;
    signal.throwIfAborted();
    await this.#operations.run({ name: verb, kind, signal: until, spares }, async (running) => {
      const { store, stack } = this.#options;
      const model = project ?? this.project();
      const plan = reconcileVerb({ verb, project: model, options }, observeStack(store, stack));
      await (verb === 'suspend' ? runSuspend : runPlan)(plan, this.#planRun(), running);
      if (options.wait) {
        await this.#awaitReady(options.services, options.waitTimeout, running);
      }
    });
  }

  /** `network connect` (`wanted`) and `disconnect`. Throws NOT_FOUND, HYPR_UNSUPPORTED, NET_ADDRESS, NET_EXHAUSTED, VMM_START. */
  async changeNetwork(change: NetworkChange, signal: AbortSignal): Promise<void> {
    const { name, wanted } = change;
    await this.#operations.run({ name: wanted === undefined ? 'network disconnect' : 'network connect', kind: 'up', signal }, (running) => {
      const replica = this.#needReplica(change.replica);
      return wanted === undefined ? replica.disconnect(name, running) : replica.connect({ name, wanted }, running);
    });
  }

  /** `update` of the replica with this id. Throws NOT_FOUND, HYPR_UNSUPPORTED where its size would change while it runs. */
  async updateReplica(id: string, update: ReplicaUpdate, signal: AbortSignal): Promise<void> {
    await this.#operations.run({ name: 'update', kind: 'up', signal }, async () => this.#needReplica(id).update(update));
  }

  #needReplica(id: string): Replica {
    const replica = [...this.replicas.values()].find(({ row }) => row.id === id);
    if (replica === undefined) {
      throw new HyprError('NOT_FOUND', 'there is no such replica any more');
    }
    return replica;
  }

  /** The files of a replica that does not run (files-at-rest.ts). */
  filesAtRest(replica: Replica, options: { readonly volumes: boolean }, signal: AbortSignal): Promise<FilesAtRest> {
    return openFilesAtRest(this.#operations, replica, options, signal);
  }

  #planRun(made: { desired?: DesiredStack; images?: OperationContext['images'] } = {}): PlanRun {
    return {
      stack: this.#options.stack,
      replicas: this.replicas,
      networks: this.networks,
      volumes: this.volumes,
      oneOffs: this.oneOffs,
      bus: this.bus,
      replicaContext: this.#context,
      desired: made.desired,
      images: made.images ?? {},
      lastLines: (replica) => this.lastLines(replica),
      networkName: (key) => this.project()?.networks[key]?.name ?? key,
    };
  }

  #awaitReady(services: readonly string[], timeout: number | undefined, signal: AbortSignal): Promise<void> {
    const lastLines = (replica: Replica) => this.lastLines(replica);
    return awaitReady({ replicas: this.replicas, bus: this.bus, services, timeout, lastLines }, signal);
  }

  /** The last lines a replica printed, for errors. */
  lastLines(replica: Replica): Promise<string[]> {
    return lastLinesOf(this.logs, replica.row);
  }

  /** Resolves when what is recorded outlives a power cut. */
  settle(): Promise<void> {
    return this.#options.store.settle();
  }

  /** Resolves when everything printed so far is in the log files. */
  async settleLogs(): Promise<void> {
    await Promise.all([...this.replicas.values()].map((replica) => replica.settleLog()));
  }

  /** The exit code of the first of the named services (of any, when none) to end. */
  waitForEnd(services: readonly string[], signal: AbortSignal): Promise<number> {
    return awaitFirstEnd({ stack: this.#options.stack, replicas: this.replicas, bus: this.bus, services }, signal);
  }

  /** Detaches from everything without stopping it. Interrupts operations that bring something up, waits for those that take something down. */
  async release(): Promise<void> {
    this.#operations.interruptRising('the supervisor ends');
    await this.#operations.settled();
    this.#changes.close();
    await this.names.release();
    await Promise.allSettled([...this.replicas.values()].map((replica) => replica.release()));
    this.networks.release();
    this.#stopRecording();
  }
}

const isDeadly = (signal: string | undefined): boolean => signal === undefined || signalNumber(signal) === SIGKILL;

const { SIGKILL } = constants.signals;
