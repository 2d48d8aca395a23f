import type http from 'node:http';
import type net from 'node:net';
import { isMainThread } from 'node:worker_threads';
import { type LastCallState, stateChannel, type StateMessage } from '../close/diagnostics.ts';
import type { CloseReport } from '../close/report.ts';
import type { LastCallError } from '../errors.ts';
import { forManyListeners } from '../node/abort.ts';
import { Budget } from './budget.ts';
import { CloseCalls } from './close-calls.ts';
import { Closes } from './closes.ts';
import { type ClusterPart, findClusterPart } from './cluster/part.ts';
import { noteStop, noteStopOver } from './exit/exit.ts';
import type { HeldListeners } from './signals/held-listeners.ts';
import { type HookLimits, runHook } from './hooks.ts';
import { LameDuck } from './lame-duck/lame-duck.ts';
import type { LastCall } from './last-call.ts';
import { leave, leaveAtLast, tellEarlyExit } from './exit/leaving.ts';
import type { CompleteLastCallOptions } from './options.ts';
import { answerProbes, ReadinessServer } from './lame-duck/readiness.ts';
import { StopSignals } from './signals/signals.ts';
import { Supervisor } from './systemd/supervisor.ts';
import { watchUncaught } from './signals/uncaught.ts';
import { WatchedServers } from './service-servers.ts';

/** What an uncaught error leaves, in milliseconds. */
const AFTER_AN_ERROR = 5_000;

/** One service: its servers, and its stop. The only owner of its state. */
export class Service implements LastCall {
  readonly closed: Promise<CloseReport>;
  readonly readiness: http.RequestListener;
  readonly #options: CompleteLastCallOptions;
  readonly #held: HeldListeners | undefined;
  readonly #servers: WatchedServers;
  readonly #signals: StopSignals;
  readonly #readinessServer: ReadinessServer;
  readonly #cluster: ClusterPart;
  readonly #supervisor: Supervisor;
  readonly #closes: Closes;
  readonly #hookErrors: LastCallError[] = [];
  /** Aborted when the stop is over, so that everything it has set up goes. */
  readonly #over = forManyListeners();
  readonly #closeCalls = new CloseCalls(this.#over.signal);
  #resolveClosed: (report: CloseReport) => void = () => {};
  #state: LastCallState = 'serving';
  #reason: string | undefined;
  #budget: Budget | undefined;
  /** Milliseconds that the primary gives to this worker. */
  #granted = Infinity;
  #lameDuck: LameDuck | undefined;
  #unwatchUncaught: (() => void) | undefined;
  /** Known before it runs: whoever hears of it while it begins may ask for it again. */
  #isStopping = false;
  #hasServed = false;
  #isExiting = false;
  #hasLeft = false;
  #hasCrashed = false;

  /** `held`: the program's own listeners of the signals, where they are to run after the drain. */
  constructor(servers: readonly net.Server[] | 'all', options: CompleteLastCallOptions, held?: HeldListeners) {
    this.#options = options;
    this.#held = held;
    this.#closes = new Closes(options, (progress) => this.#supervisor.noteProgress(progress));
    this.closed = new Promise((resolve) => {
      this.#resolveClosed = resolve;
    });
    this.readiness = answerProbes(() => ({ ready: this.ready, words: this.#words }));
    const { signals } = options;
    const observer = {
      onFirst: (signal: string) => this.#stopAndExit(signal),
      onSecond: () => this.#budget?.endNow(),
    };
    this.#signals = new StopSignals(signals, observer, held);
    this.#servers = new WatchedServers(servers, {
      onFirst: () => this.#arm(),
      onNone: () => this.#disarmIfUnused(),
      onListening: (server) => this.#takeIn(server),
    });
    this.#supervisor = new Supervisor();
    this.#cluster = findClusterPart(servers === 'all', {
      onFirst: () => this.#armForOthers(),
      onNone: () => this.#disarmIfUnused(),
      onStop: (reason, deadline) => this.#stopWithPrimary(reason, deadline),
    });
    this.#servers.begin();
    this.#readinessServer = new ReadinessServer(options.readinessServer, this.readiness, held !== undefined);
  }

  get state(): LastCallState {
    return this.#state;
  }

  get ready(): boolean {
    return this.#state === 'serving' && (this.#servers.isListening || this.#cluster.isListening);
  }

  close(reason = 'close()'): Promise<CloseReport> {
    if (!this.#isStopping) {
      this.#isStopping = true;
      void this.#runStop(reason);
    }
    return this.closed;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close('disposed');
  }

  /** Somebody else takes over; nothing is closed. */
  retire(): void {
    if (this.#isStopping) return;
    this.#servers.end();
    this.#letGo();
    void this.#readinessServer.close(0);
  }

  /** The story of a stop, in the order of docs/lifecycle.md. */
  async #runStop(reason: string): Promise<void> {
    this.#reason = reason;
    this.#held?.noteReason(reason);
    const budget = this.#makeBudget();
    for (const server of this.#servers.open) this.#closeCalls.takeOver(server, this.#hasHeldListeners);

    tellEarlyExit(() => this.#state, this.#over.signal);

    this.#enter('lame duck');
    this.#supervisor.noteStop(reason, budget);
    this.#cluster.tellStop(reason, budget);
    if (this.#hasLameDuck(budget)) await this.#serveOn(budget, reason);

    this.#enter('closing');
    this.#closes.begin(this.#servers.toClose, budget);
    this.#closes.beginForOthers(this.#cluster, budget);
    const drained = await this.#allClosed();
    this.#closeCalls.noteDrained();
    await this.#runDrained(drained, budget);

    // One that has begun to listen since is not left behind.
    const report = await this.#allClosed();
    // It has told probes to the end that the service is not ready.
    await this.#readinessServer.close(budget.left);
    await this.#cluster.report(report, this.#isExiting, budget);
    this.#enter('closed');
    this.#servers.end();
    this.#resolveClosed(report);
    if (!this.#isExiting) this.#letGo();
  }

  #makeBudget(): Budget {
    const { deadline, onDrained } = this.#options;
    const { signal } = this.#options.close;
    const budget = new Budget(Math.min(deadline, this.#granted), onDrained !== undefined || this.#hasHeldListeners);
    this.#budget = budget;
    if (this.#hasCrashed) budget.shorten(AFTER_AN_ERROR);
    if (signal?.aborted === true) budget.endNow();
    signal?.addEventListener('abort', () => budget.endNow(), { signal: this.#over.signal });
    return budget;
  }

  /** Whether there is anything to wait for before the gate shuts: without, it shuts in this turn of the loop. */
  #hasLameDuck(budget: Budget): boolean {
    const { lameDuck, onLameDuck } = this.#options;
    return !budget.soon.aborted && (lameDuck > 0 || onLameDuck !== undefined || this.#cluster.hasColleagues);
  }

  /** Not ready any more, but still serving everyone. */
  async #serveOn(budget: Budget, reason: string): Promise<void> {
    const { lameDuckMin: least, quietFor, onLameDuck } = this.#options;
    const lameDuck = new LameDuck(this.#servers.open, this.#over.signal);
    this.#lameDuck = lameDuck;
    const most = budget.lameDuck(this.#options);
    const walk = lameDuck.walk({ most, least: Math.min(least, most), quietFor }, budget.soon);
    if (onLameDuck !== undefined) {
      const limits = { most: budget.beforeDrain, abandoned: budget.soon };
      await this.#runHook('onLameDuck', () => onLameDuck(reason), limits);
    }
    await walk;
    await this.#cluster.mayClose(budget);
  }

  async #allClosed(): Promise<CloseReport> {
    const report = await this.#closes.allOver();
    return { ...report, errors: [...report.errors, ...this.#hookErrors] };
  }

  async #runDrained(drained: CloseReport, budget: Budget): Promise<void> {
    const { onDrained } = this.#options;
    if (onDrained === undefined) return;
    await this.#runHook('onDrained', () => onDrained(drained), { most: budget.left, over: budget.over });
  }

  async #runHook(name: string, hook: () => unknown, limits: HookLimits): Promise<void> {
    const error = await runHook(name, hook, limits);
    if (error !== undefined) this.#hookErrors.push(error);
  }

  #takeIn(server: net.Server): void {
    if (!this.#isStopping) {
      if (this.#servers.areListening) this.#supervisor.noteReady();
      return;
    }
    this.#closeCalls.takeOver(server, this.#hasHeldListeners);
    if (this.#state === 'lame duck') this.#lameDuck?.add(server);
    if (this.#state === 'closing' && this.#budget !== undefined) this.#closes.begin([server], this.#budget);
  }

  #stopWithPrimary(reason: string, deadline: number): void {
    this.#granted = deadline;
    this.#stopAndExit(reason);
  }

  #stopAndExit(reason: string): void {
    if (this.#isExiting) return;
    this.#isExiting = this.#options.exit || this.#hasCrashed;
    noteStop(this);
    void this.close(reason).then((report) => this.#leave(report));
    if (this.#isExiting && this.#budget !== undefined) leaveAtLast(this.#budget, () => this.#exit(1));
  }

  #leave(report: CloseReport): void {
    const { strict } = this.#options;
    if (this.#hasLeft || this.#budget === undefined) return;
    this.#hasLeft = true;
    leave({
      report,
      hasFailed: this.#hasCrashed || this.#hookErrors.length > 0,
      strict,
      held: this.#hasHeldListeners && !this.#hasCrashed ? this.#held : undefined,
      budget: this.#budget,
      exit: (code) => this.#exit(code),
    });
  }

  #exit(code: number): void {
    this.#letGo();
    noteStopOver(this, this.#isExiting ? code : undefined);
  }

  #onUncaught(): void {
    this.#hasCrashed = true;
    // Nothing is left to be done for anybody.
    if (this.#state === 'closed') return this.#exit(1);
    this.#budget?.shorten(AFTER_AN_ERROR);
    this.#stopAndExit('uncaught error');
  }

  #arm(): void {
    if (this.#state === 'closed') return;
    if (!this.#hasServed && !this.#isStopping) this.#enter('serving');
    this.#hasServed = true;
    this.#signals.arm();
    // Of a thread's error its parent has to hear.
    if (isMainThread) this.#unwatchUncaught ??= watchUncaught(() => this.#onUncaught());
  }

  #armForOthers(): void {
    this.#arm();
    this.#supervisor.noteReady();
  }

  #disarmIfUnused(): void {
    const isUsed = this.#servers.open.length > 0 || this.#cluster.isListening;
    if (!this.#isStopping && !isUsed) this.#disarm();
  }

  #disarm(): void {
    this.#signals.disarm();
    this.#unwatchUncaught?.();
    this.#unwatchUncaught = undefined;
  }

  /** Nothing of the stop is left behind. */
  #letGo(): void {
    this.#over.abort();
    this.#cluster.end();
    this.#supervisor.end();
    this.#budget?.end();
    // A signal that comes now is the second one of a process that exits: it must not end it in its last words.
    if (!this.#isExiting) this.#disarm();
  }

  get #hasHeldListeners(): boolean {
    return this.#held?.areDue === true;
  }

  get #words(): string {
    if (this.#state !== 'serving') return this.#state;
    return this.ready ? 'ready' : 'starting';
  }

  #enter(state: LastCallState): void {
    this.#state = state;
    const reason = this.#reason;
    const message: StateMessage = { state, ...(reason === undefined ? {} : { reason }) };
    stateChannel.publish(message);
  }
}
