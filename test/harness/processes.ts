import { type ChildProcess, fork, spawn, type StdioOptions } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { findTree } from '../../src/program/find/process-tree.ts';
import type { Host } from '../lab/lab.ts';
import { type Awaited, Messages } from './messages.ts';
import { LONGEST_WAIT, until, within } from './wait.ts';

/** How a process is started. */
export interface StartOptions {
  readonly args?: readonly string[];
  /** Variables on top of this process's; undefined takes one away. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly cwd?: string;
  readonly uid?: number;
  readonly gid?: number;
  /** Default: all three are pipes, and what comes out of them is kept. */
  readonly stdio?: StdioOptions;
  /** Whether it leads a process group of its own, which then ends with it. */
  readonly ownGroup?: boolean;
  /** The host of the lab on which it runs; default this one. */
  readonly host?: Host;
}

/** The same for a program of Node. */
export interface NodeOptions extends StartOptions {
  /** The Node that runs it; default the one that runs the test. */
  readonly node?: string;
  /** Node's own options, before the program. */
  readonly execArgv?: readonly string[];
}

/** How a process ended, and all that it printed. */
export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** The compiled program of a fixture, by its path below test/fixtures without an extension. */
export function fixture(name: string): string {
  return fileURLToPath(new URL(`../fixtures/${name}.js`, import.meta.url));
}

/** Starts a fixture; it has an IPC channel. */
export function startFixture<Sent extends object = object>(name: string, options: NodeOptions = {}): TestProcess<Sent> {
  return forkNode(fixture(name), options, name);
}

/** Starts any program of Node; it has an IPC channel. */
export function forkNode<Sent extends object = object>(
  file: string,
  options: NodeOptions = {},
  name: string = file,
): TestProcess<Sent> {
  const {
    args = [],
    host,
    node,
    execArgv = [],
    stdio = ['pipe', 'pipe', 'pipe', 'ipc'],
    env,
    ownGroup,
    ...others
  } = options;
  const child =
    host === undefined
      ? fork(file, args, {
          ...others,
          stdio,
          execArgv: [...execArgv],
          env: { ...process.env, ...env },
          detached: ownGroup === true,
          ...(node === undefined ? {} : { execPath: node }),
        })
      : host.fork(file, args, { ...others, stdio, execArgv, ...(env && { env }), ...(node !== undefined && { node }) });
  return new TestProcess(child, name, ownGroup);
}

/** Starts a command line. */
export function startCommand([command = '', ...args]: readonly string[], options: StartOptions = {}): TestProcess {
  const { host, env, stdio = 'pipe', ownGroup, args: more = [], ...others } = options;
  const spawnOptions = { ...others, stdio, env: { ...process.env, ...env }, detached: ownGroup === true };
  const all = [...args, ...more];
  const child = host === undefined ? spawn(command, all, spawnOptions) : host.spawn(command, all, spawnOptions);
  return new TestProcess(child, command, ownGroup);
}

/**
 * A real process under test: what it sends and prints, its signals and its end. For `await using`: at the end of the block it
 * and its descendants are killed, if they have not ended, and waited for.
 */
export class TestProcess<Sent extends object = object> implements AsyncDisposable {
  readonly messages: Messages<Sent>;
  /** Resolves when it has ended. Never rejects: one that could not be started has the code null and the reason in `stderr`. */
  readonly ended: Promise<Ended>;
  readonly child: ChildProcess;
  readonly #name: string;
  readonly #ownGroup: boolean;
  #stdout = '';
  #stderr = '';
  #hasEnded = false;

  constructor(child: ChildProcess, name: string, ownGroup = false) {
    this.child = child;
    this.#name = name;
    this.#ownGroup = ownGroup;
    this.messages = new Messages(name);
    child.stdin?.on('error', () => {});
    child.stdout?.on('data', (bytes: Buffer) => (this.#stdout += bytes.toString()));
    child.stderr?.on('data', (bytes: Buffer) => (this.#stderr += bytes.toString()));
    child.on('message', (message) => this.messages.push(message as Sent));
    this.ended = this.#watchEnd();
  }

  /** Its process id. Throws where it could not be started. */
  get pid(): number {
    if (this.child.pid === undefined) throw new Error(`${this.#name} did not start: ${this.#stderr}`);
    return this.child.pid;
  }

  /** What it has printed until now. */
  get stdout(): string {
    return this.#stdout;
  }

  get stderr(): string {
    return this.#stderr;
  }

  get hasEnded(): boolean {
    return this.#hasEnded;
  }

  /** As {@link Messages.next}. */
  next: Messages<Sent>['next'] = (key, awaited?: Awaited<Sent>) => this.messages.next(key, awaited);

  /** Sends a message over the IPC channel. */
  send(message: object): void {
    this.child.send(message);
  }

  /** Writes to its standard input. */
  write(text: string): void {
    this.child.stdin?.write(text);
  }

  signal(name: NodeJS.Signals): void {
    this.child.kill(name);
  }

  /** Resolves with the match when what it has printed matches. Rejects when it ends before, and after the limit. */
  async prints(
    wanted: RegExp,
    from: 'stdout' | 'stderr' = 'stdout',
    limit: number = LONGEST_WAIT,
  ): Promise<RegExpMatchArray> {
    const find = (): RegExpMatchArray | null => this[from].match(wanted);
    await until(`${this.#name} prints ${wanted}`, () => find() !== null || this.#hasEnded, limit);
    const found = find();
    if (found === null)
      throw new Error(`${this.#name} ended without printing ${wanted}: ${this.#stdout}${this.#stderr}`);
    return found;
  }

  /** Stops it (SIGSTOP): the kernel goes on to take in clients, the program does not see them. Resolves when all its threads stand still. */
  async hold(): Promise<void> {
    await holdProcess(this.pid);
  }

  /** Lets it go on (SIGCONT). */
  goOn(): void {
    this.signal('SIGCONT');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#hasEnded || this.child.pid === undefined) return;
    if (this.#ownGroup) killQuietly(-this.pid);
    for (const pid of [...findTree(this.pid)].toReversed()) killQuietly(pid);
    this.child.kill('SIGKILL');
    await within(`the end of ${this.#name}`, this.ended);
  }

  async #watchEnd(): Promise<Ended> {
    // 'close' may come together with 'exit': it is awaited from the first.
    const closed = once(this.child, 'close').catch(() => {});
    const [code, signal] = await once(this.child, 'exit').catch((error: Error) => {
      this.#stderr += error.message;
      return [null, null] as const;
    });
    // What was printed is all there when the pipes are at their end. A descendant may have inherited them: it is not waited for.
    const over = new AbortController();
    const late = sleep(1_000, undefined, { signal: over.signal }).catch(() => {});
    if (this.child.pid !== undefined) await Promise.race([closed, late]);
    over.abort();
    this.#hasEnded = true;
    this.messages.end(`it ended with ${code ?? signal}. ${this.#stderr}`);
    return { code, signal, stdout: this.#stdout, stderr: this.#stderr };
  }
}

/** Stops a process and waits until each of its threads stands still, or has ended. Throws where the process is not there. */
export async function holdProcess(pid: number): Promise<void> {
  process.kill(pid, 'SIGSTOP');
  await until(`process ${pid} stands still`, () => threadStates(pid).every((state) => STILL.has(state)));
}

/** Stops a process and its descendants; the function that it resolves with lets them go on. */
export function holdTree(pid: number): Promise<() => void> {
  return holdAll([...findTree(pid)]);
}

/** The same for these processes. One that ends in between is passed over. */
export async function holdAll(pids: readonly number[]): Promise<() => void> {
  await Promise.all(pids.filter(isAlive).map((one) => holdProcess(one)));
  return () => {
    for (const one of pids) killQuietly(one, 'SIGCONT');
  };
}

/** Whether a process is there and is no zombie. One that goes while it is looked at is not. */
export function isAlive(pid: number): boolean {
  try {
    return !/\) [ZX] [^)]*$/.test(readFileSync(`/proc/${pid}/stat`, 'latin1'));
  } catch {
    return false;
  }
}

/** The states in which a thread does nothing any more: stopped, traced, dead (proc(5)). */
const STILL: ReadonlySet<string> = new Set(['T', 't', 'Z', 'X']);

/** The letter that the kernel gives the state of each thread; the name before it, in parentheses, may contain anything. */
function threadStates(pid: number): readonly string[] {
  try {
    const threads = readdirSync(`/proc/${pid}/task`);
    return threads.map(
      (id) => /\) (\w) [^)]*$/.exec(readFileSync(`/proc/${pid}/task/${id}/stat`, 'latin1'))?.[1] ?? '',
    );
  } catch (error) {
    if (isGone(error)) return isAlive(pid) ? [''] : [];
    throw error;
  }
}

/** ENOENT, or ESRCH where it went between open and read. */
function isGone(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ESRCH');
}

function killQuietly(pid: number, signal: NodeJS.Signals = 'SIGKILL'): void {
  try {
    process.kill(pid, signal);
  } catch {
    // ESRCH: it has ended.
  }
}
