import { type DatagramSender, openDatagramSender } from '../../linux/unix-datagram.ts';

/** What a service tells its manager: sd_notify(3). Times are in milliseconds. Nothing of it throws. */
export interface Notifier {
  /** It serves. Said once; the status each time. From then on the watchdog is told that the event loop turns. */
  ready(status: string): void;
  /** It stops, and needs `timeLeft` at most. */
  stopping(status: string, timeLeft: number): void;
  /** Where the stop is, and what is left of its time. */
  progress(status: string, timeLeft: number): void;
  /** Says nothing any more. */
  close(): void;
}

/** Assignments by their variable. */
type Assignments = Readonly<Record<string, string | number>>;

// The manager counts from when it reads the message, and kills at the end: it must never do so in the last moment of a deadline.
const MARGIN = 5_000;

// A manager reads 4,096 bytes (NOTIFY_BUFFER_MAX, src/basic/constants.h of systemd) and passes over what is longer. A unit
// of UTF-16 has three bytes at most.
const LONGEST_STATUS = 1_000;

// A message that found the receiver full is sent again after this.
const TRY_AGAIN_AFTER = 50;

// What setInterval can wait, in milliseconds.
const LONGEST_INTERVAL = 2 ** 31 - 1;

/** The variables of this process, once they are taken away: a service that comes later has the same manager. */
let told: NodeJS.ProcessEnv = {};

/**
 * Opens the way to the service manager that the environment names, and takes the variables away: children of ours must not
 * speak for us. Undefined where there is no manager, or where it cannot be spoken to, which is told by a warning.
 */
export function openNotifier(env: NodeJS.ProcessEnv = process.env): Notifier | undefined {
  const { NOTIFY_SOCKET: address, WATCHDOG_USEC: watchdog, WATCHDOG_PID: watched } = takeVariables(env);
  if (address === undefined || address === '') return undefined;
  try {
    return new RunningNotifier(openDatagramSender(address), watchdogInterval(watchdog, watched));
  } catch (error) {
    warn(`NOTIFY_SOCKET is ${JSON.stringify(address)}, which cannot be told anything: ${messageOf(error)}`);
    return undefined;
  }
}

/** What the manager told about itself, and what it told before. */
function takeVariables(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const { NOTIFY_SOCKET, WATCHDOG_USEC, WATCHDOG_PID } = env;
  delete env.NOTIFY_SOCKET;
  delete env.WATCHDOG_USEC;
  delete env.WATCHDOG_PID;
  if (env !== process.env) return { NOTIFY_SOCKET, WATCHDOG_USEC, WATCHDOG_PID };
  if (NOTIFY_SOCKET !== undefined) told = { NOTIFY_SOCKET, WATCHDOG_USEC, WATCHDOG_PID };
  return told;
}

/** Whether this process has a manager to tell, or had taken its variables already. */
export function hasManager(env: NodeJS.ProcessEnv): boolean {
  const { NOTIFY_SOCKET = '' } = env === process.env ? { ...told, ...env } : env;
  return NOTIFY_SOCKET !== '';
}

/** Half of what the watchdog waits for, as sd_watchdog_enabled(3) advises; undefined where nobody watches this process. */
function watchdogInterval(microseconds: string | undefined, pid: string | undefined): number | undefined {
  if (microseconds === undefined || (pid !== undefined && pid !== String(process.pid))) return undefined;
  const interval = /^\d{1,16}$/.test(microseconds) ? Math.floor(Number(microseconds) / 2_000) : 0;
  if (interval >= 1) return Math.min(interval, LONGEST_INTERVAL);
  warn(
    `WATCHDOG_USEC is ${JSON.stringify(microseconds)}, expected microseconds from 2000 on; the watchdog is not told`,
  );
  return undefined;
}

class RunningNotifier implements Notifier {
  readonly #sender: DatagramSender;
  readonly #interval: number | undefined;
  /** What the receiver had no room for. */
  #unsent: Assignments = {};
  #isReady = false;
  #hasFailed = false;
  #isClosed = false;
  #watchdog: NodeJS.Timeout | undefined;
  #again: NodeJS.Timeout | undefined;

  constructor(sender: DatagramSender, interval: number | undefined) {
    this.#sender = sender;
    this.#interval = interval;
  }

  ready(status: string): void {
    this.#say(this.#isReady ? statusOf(status) : { READY: 1, ...statusOf(status) });
    this.#isReady = true;
    if (this.#interval === undefined || this.#isClosed) return;
    this.#watchdog ??= setInterval(() => this.#say({ WATCHDOG: 1 }), this.#interval).unref();
  }

  stopping(status: string, timeLeft: number): void {
    this.#say({ STOPPING: 1, ...statusOf(status), ...extensionOf(timeLeft) });
  }

  progress(status: string, timeLeft: number): void {
    this.#say({ ...statusOf(status), ...extensionOf(timeLeft) });
  }

  close(): void {
    clearInterval(this.#watchdog);
    clearTimeout(this.#again);
    this.#isClosed = true;
    this.#sender.close();
  }

  #say(assignments: Assignments): void {
    if (this.#isClosed) return;
    clearTimeout(this.#again);
    // READY=1 must arrive, however full the receiver is: it goes with the next message. Of the rest the newest counts.
    const message = { ...this.#unsent, ...assignments };
    const isSent = this.#sends(message);
    this.#unsent = isSent ? {} : message;
    if (!isSent) this.#again = setTimeout(() => this.#say({}), TRY_AGAIN_AFTER).unref();
  }

  /** False where the receiver has no room. */
  #sends(message: Assignments): boolean {
    const lines = Object.entries(message).map(([variable, value]) => `${variable}=${value}`);
    try {
      return this.#sender.send(lines.join('\n'));
    } catch (error) {
      if (!this.#hasFailed) warn(`The service manager cannot be told anything: ${messageOf(error)}`);
      this.#hasFailed = true;
      return true;
    }
  }
}

/** One line: a second one would be an assignment of its own, and a NUL makes a manager pass over the whole message. */
function statusOf(status: string): Assignments {
  return { STATUS: status.replaceAll(/\p{Cc}+/gu, ' ').slice(0, LONGEST_STATUS) };
}

function extensionOf(timeLeft: number): Assignments {
  return { EXTEND_TIMEOUT_USEC: Math.ceil(Math.max(0, timeLeft) + MARGIN) * 1_000 };
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function warn(message: string): void {
  process.emitWarning(message, 'LastCallWarning');
}
