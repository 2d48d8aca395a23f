import type http from 'node:http';
import type net from 'node:net';
import { type LastCallState, stateChannel, type StateMessage } from '../channels.ts';
import { gracefulClose } from '../close/graceful-close.ts';
import type { CloseOptions } from '../close/options.ts';
import { type CloseProgress, type CloseReport, mergeReports } from '../close/report.ts';
import type { LastCallError } from '../errors.ts';
import { Budget } from './budget.ts';
import { CloseCalls } from './close-calls.ts';
import { type ClusterPart, findClusterPart } from './cluster-part.ts';
import { expectExitOf } from './exit.ts';
import type { HeldListeners } from './held-listeners.ts';
import { runHook } from './hooks.ts';
import { LameDuck } from './lame-duck.ts';
import type { LastCall } from './last-call.ts';
import { leave } from './leaving.ts';
import type { CompleteLastCallOptions } from './options.ts';
import { answerProbes, startReadinessServer } from './readiness.ts';
import { StopSignals } from './signals.ts';
import { Supervisor } from './supervisor.ts';
import { watchUncaught } from './uncaught.ts';
import { WatchedServers } from './watched-servers.ts';

/** What an uncaught error leaves, in milliseconds. */
const AFTER_AN_ERROR = 5_000;
/** What the probes' own server gets for its end, in milliseconds. */
const READINESS_CLOSE = 200;

/** One service: its servers, and its stop. The only owner of its state. */
export class Service implements LastCall {
  readonly closed: Promise<CloseReport>;
  readonly readiness: http.RequestListener;
  readonly #options: CompleteLastCallOptions;
  readonly #held: HeldListeners | undefined;
  readonly #servers: WatchedServers;
  readonly #signals: StopSignals;
  readonly #readinessServer: http.Server | undefined;
  readonly #cluster: ClusterPart;
  readonly #supervisor = new Supervisor();
  /** Closes under way; one that begins to listen during the stop has one of its own. */
  readonly #closes = new Set<Promise<CloseReport>>();
  readonly #hookErrors: LastCallError[] = [];
  /** Aborted when the stop is over, so that everything it has set up goes. */
  readonly #over = new AbortController();
  readonly #closeCalls = new CloseCalls(this.#over.signal);
  #resolveClosed: (report: CloseReport) => void = () => {};
  #state: LastCallState = 'serving';
  #reason: string | undefined;
  #stop: Promise<CloseReport> | undefined;
  #budget: Budget | undefined;
  /** Milliseconds that the primary gives to this worker. */
  #granted = Infinity;
  #lameDuck: LameDuck | undefined;
  #unwatchUncaught: (() => void) | undefined;
  #isExiting = false;
  #hasCrashed = false;

  /** `held`: the program's own listeners of the signals, where they are to run after the drain. */
  constructor(servers: unknown, options: CompleteLastCallOptions, held?: HeldListeners) {
    this.#options = options;
    this.#held = held;
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
    this.#cluster = findClusterPart(servers === 'all', {
      onFirst: () => this.#arm(),
      onNone: () => this.#disarmIfUnused(),
      onStop: (reason, deadline) => this.#stopWithPrimary(reason, deadline),
    });
    this.#servers.begin();
    const { readinessServer } = options;
    this.#readinessServer = readinessServer && startReadinessServer(readinessServer, this.readiness);
  }

  get state(): LastCallState {
    return this.#state;
  }

  get ready(): boolean {
    return this.#state === 'serving' && (this.#servers.isListening || this.#cluster.isListening);
  }

  close(reason = 'close()'): Promise<CloseReport> {
    this.#stop ??= this.#runStop(reason);
    return this.#stop;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close('disposed');
  }

  /** Somebody else takes over; nothing is closed. */
  retire(): void {
    if (this.#stop !== undefined) return;
    this.#servers.end();
    this.#letGo();
    this.#readinessServer?.close();
  }

  /** The story of a stop, in the order of docs/lifecycle.md. */
  async #runStop(reason: string): Promise<CloseReport> {
    const budget = this.#makeBudget();
    this.#reason = reason;
    for (const server of this.#servers.open) this.#closeCalls.takeOver(server, this.#hasHeldListeners);

    this.#enter('lame duck');
    this.#supervisor.noteStop(reason, budget);
    this.#cluster.tellStop(reason, budget);
    if (this.#hasLameDuck(budget)) await this.#serveOn(budget, reason);

    this.#enter('closing');
    this.#closeServers(this.#servers.toClose, budget);
    this.#closeForOthers(budget);
    const drained = await this.#allClosed();
    this.#closeCalls.noteDrained();
    await this.#runDrained(drained, budget);

    // One that has begun to listen since is not left behind.
    const report = await this.#allClosed();
    await this.#closeReadinessServer(budget);
    await this.#cluster.report(report, budget);
    this.#enter('closed');
    this.#servers.end();
    this.#resolveClosed(report);
    if (!this.#isExiting) this.#letGo();
    return report;
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
      await this.#runHook('onLameDuck', () => onLameDuck(reason), budget.beforeDrain, budget.soon);
    }
    await walk;
    await this.#cluster.mayClose(budget);
  }

  #closeServers(servers: readonly net.Server[], budget: Budget): void {
    this.#closes.add(gracefulClose(servers, this.#closeOptions(budget)));
  }

  #closeOptions(budget: Budget): CloseOptions {
    const { close, spread } = this.#options;
    const deadline = budget.drain;
    const onProgress = (progress: CloseProgress): void => {
      this.#supervisor.noteProgress(progress);
      close.onProgress?.(progress);
    };
    return { ...close, deadline, spread: Math.min(spread, deadline), signal: budget.now, onProgress };
  }

  #closeForOthers(budget: Budget): void {
    const closing = this.#cluster.close(this.#closeOptions(budget), budget);
    if (closing !== undefined) this.#closes.add(closing);
  }

  async #allClosed(): Promise<CloseReport> {
    const reports: CloseReport[] = [];
    // Those that come meanwhile are in the set, too.
    for (const closing of this.#closes) reports.push(await closing);
    const report = mergeReports(reports);
    return { ...report, errors: [...report.errors, ...this.#hookErrors] };
  }

  async #runDrained(drained: CloseReport, budget: Budget): Promise<void> {
    const { onDrained } = this.#options;
    if (onDrained === undefined) return;
    await this.#runHook('onDrained', () => onDrained(drained), budget.left, budget.over);
  }

  async #runHook(name: string, hook: () => unknown, most: number, over: AbortSignal): Promise<void> {
    const error = await runHook(name, hook, most, over);
    if (error !== undefined) this.#hookErrors.push(error);
  }

  /** It has told probes to the end that the service is not ready. */
  async #closeReadinessServer(budget: Budget): Promise<void> {
    if (this.#readinessServer === undefined) return;
    const deadline = Math.min(READINESS_CLOSE, budget.left);
    await gracefulClose(this.#readinessServer, { gate: 'own', deadline, idleWait: 0, lingerWait: 0 });
  }

  #takeIn(server: net.Server): void {
    if (this.#stop === undefined) {
      if (this.#servers.areListening) this.#supervisor.noteReady();
      return;
    }
    this.#closeCalls.takeOver(server, this.#hasHeldListeners);
    if (this.#state === 'lame duck') this.#lameDuck?.add(server);
    if (this.#state === 'closing' && this.#budget !== undefined) this.#closeServers([server], this.#budget);
  }

  #stopWithPrimary(reason: string, deadline: number): void {
    this.#granted = deadline;
    this.#stopAndExit(reason);
  }

  #stopAndExit(reason: string): void {
    if (this.#isExiting) return;
    this.#isExiting = this.#options.exit || this.#hasCrashed;
    if (this.#isExiting) expectExitOf(this);
    void this.close(reason).then((report) => this.#leave(report));
  }

  #leave(report: CloseReport): void {
    const { strict } = this.#options;
    if (this.#budget === undefined) return;
    leave(this, {
      report,
      hasFailed: this.#hasCrashed || this.#hookErrors.length > 0,
      strict,
      isExiting: this.#isExiting,
      held: this.#hasHeldListeners && !this.#hasCrashed ? this.#held : undefined,
      budget: this.#budget,
      letGo: () => this.#letGo(),
    });
  }

  #onUncaught(): void {
    this.#hasCrashed = true;
    this.#budget?.shorten(AFTER_AN_ERROR);
    this.#stopAndExit('uncaught error');
  }

  #arm(): void {
    if (this.#state === 'closed') return;
    this.#signals.arm();
    this.#unwatchUncaught ??= watchUncaught(() => this.#onUncaught());
  }

  #disarmIfUnused(): void {
    const isUsed = this.#servers.open.length > 0 || this.#cluster.isListening;
    if (this.#stop === undefined && !isUsed) this.#disarm();
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
    this.#disarm();
  }

  get #hasHeldListeners(): boolean {
    return this.#held?.hasAny === true;
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
