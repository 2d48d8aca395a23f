// The tests' side of a fixture: a real process that is told lines on its standard input and tells lines of JSON on its
// standard output.
import assert from 'node:assert/strict';
import http from 'node:http';
import path from 'node:path';
import { createInterface } from 'node:readline';
import type { CloseReport } from '../../src/index.ts';
import { Messages } from './messages.ts';
import { type Ended as ProcessEnded, fixture, startCommand, type TestProcess } from './processes.ts';
import { LONGEST_WAIT, within } from './wait.ts';

/** How a fixture ended; what it printed are its messages. */
export type Ended = Omit<ProcessEnded, 'stdout'>;

/** What a fixture tells: which event, and its facts. */
export interface Told {
  readonly tell: string;
  readonly pid: number;
  readonly port?: number;
  readonly report?: CloseReport;
  readonly facts?: Readonly<Record<string, unknown>>;
}

export interface ProgramOptions {
  /** The Node that runs it; by default the one that runs the tests. */
  readonly node?: string;
  readonly args?: readonly string[];
  /** Node's own, before the program's name. */
  readonly execArgv?: readonly string[];
  /** Where it is started; by default here. */
  readonly directory?: string;
  /** What is inherited from descriptor 3 on. */
  readonly descriptors?: readonly number[];
  readonly env?: NodeJS.ProcessEnv;
  readonly uid?: number;
  /** Run it where /proc shows itself and its children alone, so that no search there is long. Needs root. */
  readonly aloneInProc?: boolean;
  /** What /proc hides there from who is not root: hidepid of proc(5). Only with `aloneInProc`. */
  readonly hidepid?: number;
  /** With `aloneInProc`: run it one namespace of processes further in, so that /proc gives it another number. */
  readonly inOuterProc?: boolean;
  /** Run it where /proc is empty. Needs root. */
  readonly withoutProc?: boolean;
  /** Set LISTEN_PID to the process's own id before it becomes Node. */
  readonly listenPid?: boolean;
  /** Lead a process group of its own, as under a terminal or a service manager. */
  readonly ownGroup?: boolean;
  /** A command that starts it, or becomes it; in place of all of the above. */
  readonly below?: readonly string[];
}

/** A running fixture, observed. For `await using`: it and its descendants end with the block. */
export class Program implements AsyncDisposable {
  readonly ended: Promise<Ended>;
  /** All that it has sent so far, in the order in which that came. */
  readonly history: readonly Told[];
  readonly #process: TestProcess;
  readonly #messages: Messages<Told>;

  constructor(file: string, options: ProgramOptions = {}) {
    const node = [options.node ?? process.execPath, ...(options.execArgv ?? []), file, ...(options.args ?? [])];
    this.#process = startCommand([...wrapper(options), ...node], {
      stdio: ['pipe', 'pipe', 'pipe', ...(options.descriptors ?? [])],
      ...(options.env === undefined ? {} : { env: options.env }),
      ...(options.ownGroup === undefined ? {} : { ownGroup: options.ownGroup }),
      ...(options.directory === undefined ? {} : { cwd: options.directory }),
      ...(options.uid === undefined ? {} : { uid: options.uid, gid: options.uid }),
    });
    this.#messages = new Messages(path.basename(file));
    const history: Told[] = [];
    this.history = history;
    createInterface({ input: this.#process.child.stdout! }).on('line', (line) => {
      const told = JSON.parse(line) as Told;
      history.push(told);
      this.#messages.push(told);
    });
    this.ended = this.#process.ended.then(({ code, signal, stderr }) => {
      this.#messages.end(`it ended with ${code ?? signal}. ${stderr}`);
      return { code, signal, stderr };
    });
  }

  get pid(): number {
    return this.#process.pid;
  }

  /** The next untaken message of this kind; rejects if the program ends before. */
  next(tell: string): Promise<Told> {
    return this.#messages.take(`\`${tell}\``, (message) => message.tell === tell);
  }

  order(line: string): void {
    this.#process.write(`${line}\n`);
  }

  /** Orders a close and returns its report. */
  async close(options: object = {}): Promise<CloseReport> {
    this.order(`close ${JSON.stringify(options)}`);
    const { report } = await this.next('closed');
    assert(report !== undefined);
    return report;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#process[Symbol.asyncDispose]();
  }
}

function wrapper(options: ProgramOptions): readonly string[] {
  const { below, listenPid, aloneInProc, hidepid, inOuterProc, withoutProc } = options;
  if (below !== undefined) return below;
  if (aloneInProc) {
    const remount = `mount -o remount,hidepid=${hidepid} proc /proc && exec "$@"`;
    const hiding = hidepid === undefined ? [] : ['/bin/sh', '-c', remount, 'sh'];
    const furtherIn = inOuterProc === true ? ['unshare', '--pid', '--fork', '--kill-child'] : [];
    // The search in /proc has 50 ms: they are the program's own though the machine is busy, where root may say so.
    const first = ['nice', '-n', '-15'];
    return [...first, 'unshare', '--pid', '--fork', '--kill-child', '--mount-proc', ...hiding, ...furtherIn];
  }
  if (withoutProc) return ['unshare', '--mount', '/bin/sh', '-c', 'mount -t tmpfs none /proc && exec "$@"', 'sh'];
  return listenPid ? ['/bin/sh', '-c', 'LISTEN_PID=$$ exec "$@"', 'sh'] : [];
}

/** Starts a fixture, by its path below test/fixtures without an extension, and observes it. */
export function observeFixture(name: string, options?: ProgramOptions): Program {
  return new Program(fixture(name), options);
}

/** Checks that a program ends by itself with code 0, without a word on stderr, in `limit` milliseconds, default 60,000. */
export async function assertEndsWell(program: Program, limit?: number): Promise<void> {
  const { code, signal, stderr } = await within('the end of the program', program.ended, limit);
  assert.deepEqual({ code, signal, stderr }, { code: 0, signal: null, stderr: '' });
}

/** What one new client gets: the id of the process that answered, or the error's code. */
export async function askWhoServes(port: number, path = '/'): Promise<string> {
  return new Promise((resolve) => {
    const request = http.get({ host: '127.0.0.1', port, path, agent: false, timeout: LONGEST_WAIT }, (response) => {
      let body = '';
      response.setEncoding('utf8');
      response.on('data', (text: string) => {
        body += text;
      });
      response.on('end', () => resolve(body));
    });
    request.on('timeout', () => request.destroy(new Error('no answer')));
    request.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
  });
}

/** Who serves ten new clients, one after the other: each answer that came, once. */
export async function askTenTimes(port: number): Promise<readonly string[]> {
  const answers = new Set<string>();
  for (let client = 0; client < 10; client += 1) answers.add(await askWhoServes(port));
  return [...answers];
}
