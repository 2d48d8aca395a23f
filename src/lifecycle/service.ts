import type http from 'node:http';
import type net from 'node:net';
import { type CloseReport, withDoubts } from '../close/report.ts';
import { Budget } from './budget.ts';
import { type ClusterPrimary, findClusterPrimary } from './cluster/primary.ts';
import { type ClusterWorker, findClusterWorker } from './cluster/worker.ts';
import { DeferredClose } from './deferred-close.ts';
import { Drain } from './drain.ts';
import { exitAtLast, leave, reportEarlyExit } from './exit/leaving.ts';
import { allowExit, allowLast, delayExit } from './exit/process-exit.ts';
import { Hooks } from './hooks.ts';
import { LameDuckStep } from './lame-duck/step.ts';
import { answerProbes, ReadinessServer } from './lame-duck/readiness.ts';
import type { CompleteLastCallOptions } from './options/options.ts';
import { ServiceServers } from './service-servers.ts';
import { ForeignListeners } from './signals/foreign-listeners.ts';
import type { ProgramListeners } from './signals/program-listeners.ts';
import { StopSignals } from './signals/stop-signals.ts';
import { type LastCallState, type ProcessEnd, stateChannel, type StateMessage } from './state.ts';
import { Supervisor } from './systemd/supervisor.ts';
import { Work } from './work.ts';

/** What an uncaught error leaves of the time, in ms. */
const AFTER_AN_ERROR = 5_000;

/** What a stop has set up. */
interface Stop {
  readonly reason: string;
  readonly budget: Budget;
  readonly deferredClose: DeferredClose;
  readonly drain: Drain;
}

/** One service: its servers, and its stop. The only owner of its state. */
export class Service {
  readonly closed: Promise<CloseReport>;
  readonly readiness: http.RequestListener;
  readonly #options: CompleteLastCallOptions;
  readonly #programListeners: ProgramListeners | undefined;
  readonly #servers: ServiceServers;
  readonly #signals: StopSignals;
  readonly #readinessServer: ReadinessServer;
  readonly #supervisor = new Supervisor();
  /** This process in its cluster, if it has one. */
  readonly #primary: ClusterPrimary | undefined;
  readonly #worker: ClusterWorker | undefined;
  readonly #hooks: Hooks;
  readonly #lameDuck: LameDuckStep;
  readonly #work = new Work();
  readonly #foreign = new ForeignListeners();
  #resolveClosed: (report: CloseReport) => void = () => {};
  /** `starting`: no server has listened yet. */
  #state: 'starting' | LastCallState = 'starting';
  #processEnd: ProcessEnd = 'goes on';
  #stop: Stop | undefined;
  /** How long before its stop it was asked to stop, in ms: the event loop was busy. */
  #askedBefore = 0;

  /** `programListeners`: the program's own listeners of the signals, if they are to run after the drain. */
  constructor(
    servers: readonly net.Server[] | 'all',
    options: CompleteLastCallOptions,
    programListeners?: ProgramListeners,
  ) {
    this.#options = options;
    this.#programListeners = programListeners;
    this.#hooks = new Hooks(options);
    this.closed = new Promise((resolve) => {
      this.#resolveClosed = resolve;
    });
    this.readiness = answerProbes(this);
    const onSignal = {
      onFirst: (signal: NodeJS.Signals, busyFor: number) => {
        this.#askedBefore = busyFor;
        this.#onSignal(signal);
      },
      onSecond: () => this.#stop?.budget.endNow(),
      onUncaught: () => this.#onUncaught(),
    };
    this.#signals = new StopSignals(options.signals, onSignal, programListeners);
    this.#servers = new ServiceServers(servers, {
      onFirst: () => this.#arm(),
      onNone: () => this.#disarmIfUnused(),
      onListening: (server) => this.#addServer(server),
    });
    this.#worker = findClusterWorker((reason, deadline) => this.#stopAndExit(reason, deadline));
    const onWorkers = { onFirst: () => this.#armForWorkers(), onNone: () => this.#disarmIfUnused() };
    // Workers are part of the service only if it is all that this process has.
    this.#primary = servers === 'all' ? findClusterPrimary(onWorkers) : undefined;
    this.#lameDuck = new LameDuckStep(options, this.#hooks, this.#primary, this.#worker);
    this.#servers.begin();
    const isOptional = programListeners !== undefined && !options.holdListeners;
    this.#readinessServer = new ReadinessServer(options.readinessServer, this.readiness, isOptional);
  }

  get state(): LastCallState {
    return this.#state === 'starting' ? 'serving' : this.#state;
  }

  get ready(): boolean {
    return this.state === 'serving' && (this.#servers.isListening || this.#primary?.isListening === true);
  }

  close(reason = 'close()'): Promise<CloseReport> {
    return this.#stopOnce(reason);
  }

  waitUntil(promise: PromiseLike<unknown>, name?: string): void {
    this.#work.add(promise, name);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close('disposed');
  }

  /** Another service takes over. Nothing is closed. */
  retire(): void {
    if (this.#stop !== undefined) return;
    this.#servers.end();
    this.#letGo();
    void this.#readinessServer.close(0);
  }

  /** The story of a stop, in the order of docs/lifecycle.md. `most`: ms that it may take. */
  async #runStop(reason: string, most: number): Promise<void> {
    const { budget, deferredClose, drain } = this.#beginStop(reason, most);

    this.#enter('lame duck');
    this.#supervisor.stopping(reason, budget);
    this.#primary?.stopWorkers(reason, budget);
    if (this.#lameDuck.isDue(budget)) await this.#lameDuck.serveOn(this.#servers.toClose, reason, budget);

    this.#enter('closing');
    const primary = this.#primary;
    drain.close(this.#servers.toClose);
    if (primary !== undefined) drain.begin((options) => primary.close(options, budget));
    // A cluster's primary has only its workers, and they run their own listeners.
    if (primary?.isListening !== true) this.#dueListeners?.runWhenStill(() => this.#servers.open, drain);
    await drain.ended();
    deferredClose.release();
    await this.#work.done(budget.forDrain, budget.cutDrain);
    await this.#hooks.onDrained(await this.#drained(drain), budget);

    // Servers that have begun to listen since are drained too, and work that has begun since is waited for.
    await drain.ended();
    await this.#work.done(budget.forLastWork, budget.timeUp);
    const report = await this.#drained(drain);
    this.#work.end();
    // Until here it has answered probes: not ready.
    await this.#readinessServer.close(budget.left);
    await this.#worker?.sendReport(report, this.#isExiting, budget);
    this.#enter('closed');
    this.#servers.end();
    this.#resolveClosed(report);
    if (!this.#isExiting) this.#letGo();
  }

  #stopOnce(reason: string, most = Infinity): Promise<CloseReport> {
    if (this.#stop === undefined) void this.#runStop(reason, most);
    return this.closed;
  }

  #beginStop(reason: string, most: number): Stop {
    this.#work.begin();
    this.#programListeners?.noteReason(reason);
    const { close, deadline, onDrained } = this.#options;
    const hasHooks = onDrained !== undefined || this.#dueListeners !== undefined;
    const budget = new Budget(Math.min(deadline, most), hasHooks, this.#askedBefore);
    if (this.#processEnd === 'crashed') budget.shorten(AFTER_AN_ERROR);
    if (close.signal?.aborted === true) budget.endNow();
    close.signal?.addEventListener('abort', () => budget.endNow(), { signal: budget.ended });
    const deferredClose = new DeferredClose(budget.ended);
    const drain = new Drain(
      this.#options,
      budget,
      () => this.#foreign.doubts,
      (now) => this.#supervisor.noteProgress(now),
    );
    this.#stop = { reason, budget, deferredClose, drain };
    for (const server of this.#servers.open) deferredClose.add(server, this.#dueListeners !== undefined);
    reportEarlyExit(() => this.state, budget.ended);
    return this.#stop;
  }

  async #drained(drain: Drain): Promise<CloseReport> {
    const report = await drain.ended();
    const errors = [...report.errors, ...this.#hooks.errors, ...this.#work.errors];
    const strange = this.#isExiting ? this.#servers.doubts : [];
    return withDoubts({ ...report, errors }, [...strange, ...this.#foreign.doubts, ...this.#work.doubts]);
  }

  /** A server has begun to listen. During a stop it takes part in the step that is under way. */
  #addServer(server: net.Server): void {
    const stop = this.#stop;
    if (stop === undefined) {
      if (this.#servers.areListening) this.#supervisor.ready();
      return;
    }
    stop.deferredClose.add(server, this.#dueListeners !== undefined);
    if (this.#state === 'lame duck') this.#lameDuck.add(server);
    if (this.#state === 'closing') stop.drain.close([server]);
  }

  #onSignal(signal: NodeJS.Signals): void {
    this.#stopAndExit(signal);
    // What is not held runs at once, and the exit does not wait for it.
    if (this.#options.exit && this.#programListeners === undefined) this.#foreign.print(signal);
  }

  /** By a signal, by the primary, which gives `most` ms, or by an uncaught error. */
  #stopAndExit(reason: string, most?: number, end: ProcessEnd = this.#options.exit ? 'exits' : 'may end'): void {
    if (this.#isExiting) return;
    const isFirst = this.#processEnd === 'goes on';
    this.#processEnd = end;
    delayExit(this);
    const closed = this.#stopOnce(reason, most);
    if (isFirst) void closed.then((report) => this.#leave(report));
    if (this.#isExiting && this.#stop !== undefined) exitAtLast(this.#stop.budget, () => this.#exit(1));
  }

  #onUncaught(): void {
    this.#stop?.budget.shorten(AFTER_AN_ERROR);
    if (!this.#isExiting) return this.#stopAndExit('uncaught error', undefined, 'crashed');
    this.#processEnd = 'crashed';
    if (this.#state === 'closed') this.#exit(1);
  }

  #leave(report: CloseReport): void {
    if (this.#stop === undefined) return;
    const hasCrashed = this.#processEnd === 'crashed';
    leave({
      report,
      hasFailed: hasCrashed || this.#hooks.errors.length > 0,
      strict: this.#options.strict,
      programListeners: hasCrashed ? undefined : this.#dueListeners,
      budget: this.#stop.budget,
      work: this.#work,
      listenerWait: this.#isExiting ? this.#options.listenerWait : 0,
      exit: (code) => this.#exit(code),
      whenLast: (callback) => {
        // Another service calls them.
        if (!allowLast(this, callback)) this.#letGo();
      },
    });
  }

  #exit(code: number): void {
    this.#programListeners?.endDrain();
    this.#letGo();
    allowExit(this, this.#isExiting ? code : undefined);
  }

  #arm(): void {
    if (this.#state === 'closed') return;
    if (this.#state === 'starting') this.#enter('serving');
    this.#signals.arm();
    if (this.#options.exit && this.#programListeners === undefined) this.#foreign.arm(this.#options.signals);
  }

  #armForWorkers(): void {
    this.#arm();
    this.#supervisor.ready();
  }

  #disarmIfUnused(): void {
    const isUsed = this.#servers.areThere || this.#primary?.isListening === true;
    if (this.#stop === undefined && !isUsed) this.#disarm();
  }

  /** Undoes all that the service and its stop have set up. */
  #letGo(): void {
    this.#stop?.budget.end();
    this.#primary?.end();
    this.#worker?.end();
    this.#supervisor.end();
    // A signal must not end a process that is about to exit, in the middle of its last lines.
    if (!this.#isExiting) this.#disarm();
  }

  #disarm(): void {
    this.#signals.disarm();
    this.#foreign.disarm();
  }

  get #isExiting(): boolean {
    return this.#processEnd === 'exits' || this.#processEnd === 'crashed';
  }

  /** The program's own listeners of the signal that has come, if there are any, and they are held. */
  get #dueListeners(): ProgramListeners | undefined {
    return this.#programListeners?.areDue === true ? this.#programListeners : undefined;
  }

  #enter(state: LastCallState): void {
    this.#state = state;
    const reason = this.#stop?.reason;
    const message: StateMessage = { state, ...(reason === undefined ? {} : { reason }) };
    stateChannel.publish(message);
  }
}
