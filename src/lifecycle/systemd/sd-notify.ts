import { messageOf } from '../../errors.ts';
import { type DatagramSender, openDatagramSender } from '../../linux/unix-datagram.ts';
import { warn } from '../warn.ts';

/** Assignments by their variable. */
type Assignments = Readonly<Record<string, string | number>>;

// In ms. The manager's time runs from when it reads the message, and ends with a kill: that must not come in the last moment of a
// deadline.
const MARGIN = 5_000;

// A manager reads 4,096 bytes (NOTIFY_BUFFER_MAX, src/basic/constants.h of systemd) and ignores longer messages. A unit of UTF-16
// has three bytes at most.
const LONGEST_STATUS = 1_000;

// A message is sent again after this time if the receiver was full, in ms.
const TRY_AGAIN_AFTER = 50;

// What setInterval can wait, in ms.
const LONGEST_INTERVAL = 2 ** 31 - 1;

/** The variables of this process after they were taken away: a later service has the same manager. */
let taken: NodeJS.ProcessEnv = {};

/**
 * Opens the way to the service manager that the environment names, and takes its variables away: child processes must not use
 * them. Undefined without a manager. Undefined with a warning if nothing can be sent to it.
 */
export function openNotifier(env: NodeJS.ProcessEnv = process.env): Notifier | undefined {
  const { NOTIFY_SOCKET: address, WATCHDOG_USEC: watchdog, WATCHDOG_PID: watched } = takeVariables(env);
  if (address === undefined || address === '') return undefined;
  try {
    return new Notifier(openDatagramSender(address), watchdogInterval(watchdog, watched));
  } catch (error) {
    warn(`NOTIFY_SOCKET is ${JSON.stringify(address)}, which cannot be used: ${messageOf(error)}`);
    return undefined;
  }
}

function takeVariables(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const { NOTIFY_SOCKET, WATCHDOG_USEC, WATCHDOG_PID } = env;
  delete env.NOTIFY_SOCKET;
  delete env.WATCHDOG_USEC;
  delete env.WATCHDOG_PID;
  if (env !== process.env) return { NOTIFY_SOCKET, WATCHDOG_USEC, WATCHDOG_PID };
  if (NOTIFY_SOCKET !== undefined) taken = { NOTIFY_SOCKET, WATCHDOG_USEC, WATCHDOG_PID };
  return taken;
}

/** Whether this process has a manager, also if its variables were taken away. */
export function hasManager(env: NodeJS.ProcessEnv): boolean {
  const { NOTIFY_SOCKET = '' } = env === process.env ? { ...taken, ...env } : env;
  return NOTIFY_SOCKET !== '';
}

/** Half of the watchdog's time, as sd_watchdog_enabled(3) advises; undefined if this process is not watched. */
function watchdogInterval(microseconds: string | undefined, pid: string | undefined): number | undefined {
  if (microseconds === undefined || (pid !== undefined && pid !== String(process.pid))) return undefined;
  const interval = /^\d{1,16}$/.test(microseconds) ? Math.floor(Number(microseconds) / 2_000) : 0;
  if (interval >= 1) return Math.min(interval, LONGEST_INTERVAL);
  warn(
    `WATCHDOG_USEC is ${JSON.stringify(microseconds)}, expected microseconds from 2000 on; nothing is sent to the watchdog`,
  );
  return undefined;
}

/** Sends the state of a service to its manager: sd_notify(3). Times are in ms. Nothing of it throws. */
export class Notifier {
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

  /** The service serves. READY is sent once, the status each time. From then on the watchdog gets its messages. */
  ready(status: string): void {
    this.#send(this.#isReady ? statusOf(status) : { READY: 1, ...statusOf(status) });
    this.#isReady = true;
    if (this.#interval === undefined || this.#isClosed) return;
    this.#watchdog ??= setInterval(() => this.#send({ WATCHDOG: 1 }), this.#interval).unref();
  }

  /** The service stops, and needs `timeLeft` at most. */
  stopping(status: string, timeLeft: number): void {
    this.#send({ STOPPING: 1, ...statusOf(status), ...extensionOf(timeLeft) });
  }

  /** How far the stop is, and what is left of its time. */
  progress(status: string, timeLeft: number): void {
    this.#send({ ...statusOf(status), ...extensionOf(timeLeft) });
  }

  /** Nothing more is sent. */
  close(): void {
    clearInterval(this.#watchdog);
    clearTimeout(this.#again);
    this.#isClosed = true;
    this.#sender.close();
  }

  #send(assignments: Assignments): void {
    if (this.#isClosed) return;
    clearTimeout(this.#again);
    // READY=1 must arrive, however full the receiver is: it goes with the next message. Of the rest the newest counts.
    const message = { ...this.#unsent, ...assignments };
    const isSent = this.#trySend(message);
    this.#unsent = isSent ? {} : message;
    if (!isSent) this.#again = setTimeout(() => this.#send({}), TRY_AGAIN_AFTER).unref();
  }

  /** False if the receiver has no room. */
  #trySend(message: Assignments): boolean {
    const lines = Object.entries(message).map(([variable, value]) => `${variable}=${value}`);
    try {
      return this.#sender.send(lines.join('\n'));
    } catch (error) {
      if (!this.#hasFailed) warn(`Nothing can be sent to the service manager: ${messageOf(error)}`);
      this.#hasFailed = true;
      return true;
    }
  }
}

/** One line: a second one would be another assignment, and a manager ignores a message with a NUL. */
function statusOf(status: string): Assignments {
  return { STATUS: status.replaceAll(/\p{Cc}+/gu, ' ').slice(0, LONGEST_STATUS) };
}

function extensionOf(timeLeft: number): Assignments {
  return { EXTEND_TIMEOUT_USEC: Math.ceil(Math.max(0, timeLeft) + MARGIN) * 1_000 };
}
