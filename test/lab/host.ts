import { type ChildProcess, fork, type SpawnOptions, spawn, type StdioOptions } from 'node:child_process';
import type { HostName, HostFacts } from './control.ts';
import type { WireControl } from './wire-control.ts';

/** How a Node program is started on a host. */
export interface ForkOptions {
  /** Variables on top of this process's. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly execArgv?: readonly string[];
  /** The Node that runs it; default the one that runs the test. */
  readonly node?: string;
  readonly uid?: number;
  readonly gid?: number;
  /** As of `child_process.fork`; default 'inherit' with an IPC channel. */
  readonly stdio?: StdioOptions;
}

/** One of the two machines: a network namespace with a loopback, and an interface that ends at the wire. */
export class Host {
  readonly ipv4: string;
  readonly ipv6: string;
  /** The path of the network namespace, for setns(2) and nsenter(1); it exists as long as the lab. */
  readonly namespace: string;
  readonly #name: HostName;
  readonly #control: WireControl;
  readonly #started = new Map<ChildProcess, Promise<void>>();

  constructor(name: HostName, facts: HostFacts, control: WireControl) {
    this.ipv4 = facts.ipv4;
    this.ipv6 = facts.ipv6;
    this.namespace = `/proc/${control.pid}/fd/${facts.descriptor}`;
    this.#name = name;
    this.#control = control;
  }

  /** Starts a Node program with an IPC channel. nsenter(1) becomes it, so all its threads are in the namespace from the first. */
  fork(program: string, args: readonly string[] = [], options: ForkOptions = {}): ChildProcess {
    const { uid, gid, execArgv = [], node = process.execPath, env, stdio } = options;
    const entering = [...this.#enter(uid, gid), node, ...execArgv];
    const variables = { ...process.env, ...env };
    return this.#keep(
      fork(program, args, { execPath: 'nsenter', execArgv: entering, env: variables, ...(stdio && { stdio }) }),
    );
  }

  /** Starts any program. `uid` and `gid` hold for the program, not for the way into the namespace. */
  spawn(command: string, args: readonly string[] = [], options: SpawnOptions = {}): ChildProcess {
    const { uid, gid, ...others } = options;
    return this.#keep(spawn('nsenter', [...this.#enter(uid, gid), command, ...args], others));
  }

  /** Sets a parameter of the network namespace, such as `net.ipv4.tcp_syncookies`. */
  async sysctl(name: string, value: string): Promise<void> {
    const path = `/proc/sys/${name.replaceAll('.', '/')}`;
    await this.#control.ask({ ask: 'write', host: this.#name, path, text: value });
  }

  /** Reads a file of /proc/net or /proc/sys/net as the host sees it. */
  async read(path: string): Promise<string> {
    const text = await this.#control.ask({ ask: 'read', host: this.#name, path });
    if (typeof text !== 'string') throw new TypeError(`Expected the text of ${path}, got \`${JSON.stringify(text)}\``);
    return text;
  }

  /** Ends what was started here and waits for its end. */
  async killAll(): Promise<void> {
    for (const child of this.#started.keys()) child.kill('SIGKILL');
    await Promise.all(this.#started.values());
  }

  #enter(uid: number | undefined, gid: number | undefined): readonly string[] {
    const user = uid === undefined ? [] : [`--setuid=${uid}`];
    const group = gid === undefined ? [] : [`--setgid=${gid}`];
    return [`--net=${this.namespace}`, ...group, ...user, '--'];
  }

  #keep(child: ChildProcess): ChildProcess {
    const ended = new Promise<void>((resolve) => {
      child.once('exit', () => resolve());
      child.once('error', () => {
        if (child.pid === undefined) resolve();
      });
    });
    this.#started.set(child, ended);
    void ended.then(() => this.#started.delete(child));
    return child;
  }
}
