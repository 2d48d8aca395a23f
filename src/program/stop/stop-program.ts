import { setTimeout as sleep } from 'node:timers/promises';
import { hasOtherThreads, isAlive } from '../../linux/process/processes.ts';
import type { HeldListener } from '../find/find-listeners.ts';
import type { StopReport } from '../report.ts';
import { awaitEmptyQueues, type Pending } from './await-empty-queues.ts';
import { rememberGates } from './left-shut.ts';
import { ENDED_BEFORE, LostAnswers } from './lost-answers.ts';
import type { StoppedProgram, StopOptions } from './options.ts';
import { ProgramGates } from './program-gates.ts';
import { mayDieOf } from './may-die.ts';
import { SecondSignal } from './second-signal.ts';
import { sendSignal } from './send-signal.ts';
import { progressOf } from './progress.ts';
import { WaitingElsewhere } from './waiting-elsewhere.ts';

// In ms.
const LOOK_EVERY = 20;
// A look takes a twentieth of the time at most.
const LOOK_SHARE = 19;
const PROGRESS_EVERY = 100;
// How long the kernel may take to end a process after SIGKILL.
const DEATH_WAIT = 2_000;

/**
 * Stops a program without losing a client: shuts the gates of its listeners, waits until it has emptied its queues, and only then
 * sends its stop signal. A program is never left running behind a shut gate: at the deadline it is killed, or its gates are
 * opened again. Throws EPERM before it changes anything if the program must not be signalled.
 */
export async function stopProgram(program: StoppedProgram, options: StopOptions): Promise<StopReport> {
  const stop = new ProgramStop(program, options);
  const forget = rememberGates(stop.gates);
  try {
    stop.checkRight();
    await stop.emptyQueues();
    stop.signal();
    await stop.waitForEnd();
    await stop.endLeftBehind();
    if (stop.isRunning()) await stop.endAtDeadline();
    await stop.noteEnd();
    return stop.report();
  } catch (error) {
    // After any error of ours the program goes on as before. It is not left running behind a shut gate.
    if (stop.isRunning() && !stop.gates.reopen()) await stop.endAtDeadline();
    throw error;
  } finally {
    forget();
    stop.gates.release();
  }
}

class ProgramStop {
  readonly gates: ProgramGates;
  readonly #program: StoppedProgram;
  readonly #options: StopOptions;
  readonly #began: number = performance.now();
  readonly #connections = { atStart: 0, atSignal: 0, lastSeen: 0 };
  readonly #doubts = new Set<string>();
  readonly #lostAnswers = new LostAnswers();
  readonly #elsewhere: WaitingElsewhere;
  /** At the last look at the queues; undefined before the first. */
  #pending: Pending | undefined;
  /** What ran at the last look: the program itself, how many of its workers, and of the processes that it has left behind. */
  #ran = { program: true, workers: 0, left: 0 };
  #signalsTheRest = false;
  #signalledAfter: number | undefined;
  #outcome: StopReport['outcome'] = 'complete';
  readonly #secondSignal: SecondSignal;
  /** Whether the signal may end it at once. */
  readonly #mayDie: boolean;
  readonly #stopsItself: boolean;

  constructor(program: StoppedProgram, options: StopOptions) {
    this.#program = program;
    this.#options = options;
    const { own, cookies, process } = program;
    const { mayKill, noGates } = options;
    this.#secondSignal = new SecondSignal(process, options);
    this.#elsewhere = new WaitingElsewhere(process.pid);
    this.#stopsItself = (options.stopsItself ?? false) !== false;
    this.#mayDie = !this.#stopsItself && mayDieOf(options.signal, process.pid);
    const elapsed = (): number => this.#elapsed();
    const withSuccessors = program.leftBehind !== undefined;
    this.gates = new ProgramGates({
      pid: process.pid,
      own,
      cookies,
      mayKill,
      noGates,
      withSuccessors,
      deadline: options.deadline,
      elapsed,
    });
  }

  isRunning = (): boolean => this.#program.process.isRunning() || this.#left().length > 0;

  /** Processes of the program, such as its workers, that have not ended with it. */
  #left(): readonly number[] {
    if (this.#program.leftBehind === undefined) return this.gates.holdersLeft();
    return this.#signalsTheRest ? this.#program.leftBehind() : [];
  }

  /** Comes before any gate is shut. */
  checkRight(): void {
    this.#program.process.signal(0);
  }

  /** Shuts the gates, and waits until the queues are empty. Repeats this for listeners that the program opens meanwhile. */
  async emptyQueues(): Promise<void> {
    const { now, stopsItself = false } = this.#options;
    // The PID of a program that has ended may be another's.
    if (!this.isRunning()) return;
    if (stopsItself !== false) return this.#emptyOwn(stopsItself);
    let isNew = await this.gates.shutNew(now);
    this.#connections.atStart = this.#look().open.size;
    while (isNew && this.isRunning()) {
      await this.#awaitEmptyQueues();
      isNew = await this.gates.shutNew(now);
    }
    // The clients from outside have been served: no process of the program needs another one any more.
    if (this.isRunning() && (await this.gates.shutInner(now))) await this.#awaitEmptyQueues();
    // The search took a while, in which new clients may have come.
    if (this.#pending?.isOpen === true) await this.#awaitEmptyQueues();
  }

  /** Several processes of the program may listen on them: each would leave the queue to the others, which end, too. */
  async #emptyOwn(stopsItself: true | 'except own'): Promise<void> {
    if (stopsItself === true) this.gates.findOwn();
    else {
      await this.gates.shutOwn(this.#options.now);
      // The program itself sees to its connections.
      if (this.gates.shut.length > 0)
        await this.#awaitEmptyQueues({ unanswered: new Map(), unclear: new Map(), justUsed: 0 });
    }
    // Comes before the signal: a process that does not stop itself may end at once.
    this.#elsewhere.find(this.gates.find());
    this.#elsewhere.compare(false);
  }

  async #awaitEmptyQueues(besides: Partial<Pending> = {}): Promise<void> {
    const { deadline, queueWait = deadline / 3, now, onProgress } = this.#options;
    await awaitEmptyQueues({
      most: Math.max(0, queueWait - this.#elapsed()),
      now,
      isRunning: this.isRunning,
      look: () => {
        const pending = this.#look();
        onProgress?.('emptying the queues', progressOf(pending));
        return { ...pending, ...besides };
      },
    });
  }

  signal(): void {
    // No look comes right before the signal: it would take a while, in which new clients may come.
    const after = this.#elapsed();
    const { signal, noGates } = this.#options;
    if (this.isRunning() && this.#program.process.signal(signal)) this.#signalledAfter = after;
    // An inside stop is the caller's to judge.
    else if (noGates === undefined && this.#mayHaveHadClients()) this.#doubts.add(ENDED_BEFORE);
    this.#secondSignal.noteFirst();
    if (this.#stopsItself) this.#elsewhere.find(this.gates.find());
    this.#ran.workers = this.gates.workers.size;
    const pending = this.#pending ?? this.#look();
    this.gates.noteSignal();
    this.#compare(pending, false);
    this.#connections.atSignal = this.#connections.lastSeen = pending.open.size;
  }

  /** Whether anybody was in the queues, or waited for an answer, when it ended. */
  #mayHaveHadClients(): boolean {
    if (this.gates.hasNotLooked) return true;
    if (this.#pending === undefined) return this.gates.listeners.length > 0;
    const { queued, halfOpen, unanswered } = this.#pending;
    return queued + halfOpen + unanswered.size > 0;
  }

  /** Waits until the program has ended, or until the deadline. */
  async waitForEnd(): Promise<void> {
    let [lookAt, progressAt, tookBefore] = [0, 0, 0];
    while (this.isRunning() && !this.#isOver()) {
      const now = performance.now();
      if (now >= lookAt) {
        // A child may begin to listen in the stop.
        if (this.#stopsItself && this.#elsewhere.hasNewListener()) this.#elsewhere.find(this.gates.find());
        // Comes first: a process closes its connections before it has ended.
        const hasProcessEnded = this.#hasProcessEnded();
        const pending = this.#look();
        this.#compare(pending, hasProcessEnded);
        this.#connections.lastSeen = pending.open.size;
        if (now >= progressAt) {
          this.#options.onProgress?.('ending', progressOf(pending));
          this.gates.releaseEmpty();
          progressAt = now + PROGRESS_EVERY;
        }
        const end = performance.now();
        lookAt = end + Math.max(LOOK_EVERY, Math.min(end - now, tookBefore) * LOOK_SHARE);
        tookBefore = end - now;
      }
      this.#secondSignal.handOn(this.#elapsed() - (this.#signalledAfter ?? Infinity));
      await sleep(Math.min(LOOK_EVERY, Math.max(1, this.#options.deadline - this.#elapsed())));
    }
  }

  /** Sends the signal to the processes that the program has left running, and waits for their end. */
  async endLeftBehind(): Promise<void> {
    const left = this.#program.leftBehind?.() ?? [];
    if (left.length === 0 || this.#program.process.isRunning()) return;
    this.#signalsTheRest = true;
    for (const pid of left) sendSignal(pid, this.#options.signal);
    await this.waitForEnd();
    const killed = this.#left().length;
    const ended = left.length - killed;
    if (ended > 0) this.gates.notes.add(`it left processes behind: ${ended} stopped`);
    if (killed > 0) this.gates.notes.add(`it left processes behind: ${killed} killed at the deadline`);
  }

  #isOver(): boolean {
    return this.#elapsed() >= this.#options.deadline || this.#options.giveUp?.aborted === true;
  }

  #look(): Pending {
    const pending = this.gates.look();
    const { unclear, recent } = pending;
    // Of a program that may die of the signal an answer that goes on would be cut.
    this.#pending = this.#mayDie ? { ...pending, unclear: new Map([...unclear, ...recent]) } : pending;
    return this.#pending;
  }

  /** Whether a process of the program has ended since the last call. */
  #hasProcessEnded(): boolean {
    const before = this.#ran;
    const program = this.#program.process.isRunning();
    const workers = [...this.gates.workers].filter(isAlive).length;
    this.#ran = { program, workers, left: program ? before.left : this.#left().length };
    return (before.program && !program) || workers < before.workers || this.#ran.left < before.left;
  }

  #compare(pending: Pending, hasProcessEnded: boolean): void {
    this.#lostAnswers.add(pending, { listeners: this.gates.listeners, hasProcessEnded });
    this.#elsewhere.compare(hasProcessEnded);
  }

  /** Kills the program, or opens its gates again: it must not run behind a shut gate. */
  async endAtDeadline(): Promise<void> {
    if (!this.#options.mayKill) {
      this.#outcome = 'still running';
      this.gates.reopen();
      return;
    }
    this.#outcome = 'killed';
    this.#program.kill();
    for (const pid of this.#left()) sendSignal(pid, 'SIGKILL');
    const end = performance.now() + DEATH_WAIT;
    while (this.isRunning() && performance.now() < end) await sleep(LOOK_EVERY);
  }

  report(): StopReport {
    const listeners = [...this.gates.reports];
    const doubts = [...this.#doubts, ...this.gates.doubts];
    const isInDoubt =
      doubts.length > 0 || listeners.some(({ gate, left }) => left > 0 && gate !== 'shared' && gate !== 'none');
    const { process, command } = this.#program;
    const { reason, signal } = this.#options;
    return {
      outcome: this.#outcome === 'complete' && isInDoubt ? 'forced' : this.#outcome,
      reason,
      duration: this.#elapsed(),
      program: { pid: process.pid, command, exitCode: undefined, signal: undefined },
      signalled: this.#signalledAfter === undefined ? undefined : { signal, after: this.#signalledAfter },
      listeners,
      connections: { ...this.#connections },
      doubts,
      notes: [...this.gates.notes],
    };
  }

  /** What is left when the program has ended, and the kernel has closed its sockets. */
  async noteEnd(): Promise<void> {
    if (this.#outcome === 'still running') return;
    const end = performance.now() + DEATH_WAIT;
    while (hasOtherThreads(this.#program.process.pid) && performance.now() < end) await sleep(LOOK_EVERY);
    while (!this.gates.isLeftQueueServed() && performance.now() < end) await sleep(LOOK_EVERY);
    const mayRemember = (held: HeldListener): boolean => !this.#stopsItself || this.#elsewhere.has(held);
    for (const doubt of this.gates.noteEnd(mayRemember)) this.#doubts.add(doubt);
    this.#compare(this.gates.look(), true);
    for (const doubt of this.#elsewhere.doubts()) this.#doubts.add(doubt);
    // A program that stops itself knows better which clients it has served.
    if (this.#stopsItself && this.#outcome === 'complete') return;
    for (const doubt of this.#lostAnswers.doubts()) this.#doubts.add(doubt);
  }

  #elapsed(): number {
    return performance.now() - this.#began;
  }
}
