import type { ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { AgentEvent, AgentOrder, ConnectOptions } from './agent-messages.ts';
import type { Host } from './lab.ts';
import { LabConnection } from './lab-connection.ts';

const agentProgram = fileURLToPath(new URL('./client-agent.js', import.meta.url));

// Below the kernel's own range for clients (32768), so that no other program on the host has taken one.
let lastPort = 9_999;

/** A TCP client on one of the lab's hosts, in a process of its own, that does what the test says. */
export class LabClient {
  readonly #agent: ChildProcess;
  readonly #connections: LabConnection[] = [];

  private constructor(agent: ChildProcess) {
    this.#agent = agent;
    agent.on('message', (event: AgentEvent) => this.#connections[event.id]?.hear(event));
    agent.once('exit', () => {
      for (const connection of this.#connections) connection.abandon();
    });
  }

  /** Starts the agent; it ends with the lab. */
  static async start(host: Host): Promise<LabClient> {
    const agent = host.fork(agentProgram);
    await new Promise<void>((resolve, reject) => {
      agent.once('spawn', resolve);
      agent.once('error', reject);
    });
    return new LabClient(agent);
  }

  /** Begins to connect. The connection's local port is known at once; a rule that must see the SYN is made before, with a port given here. */
  connect(options: ConnectOptions): LabConnection {
    const id = this.#connections.length;
    const complete = 'path' in options ? options : { ...options, localPort: options.localPort ?? nextLocalPort() };
    const localPort = 'localPort' in complete ? complete.localPort : undefined;
    const connection = new LabConnection(localPort, {
      send: (bytes) => this.#order({ order: 'send', id, bytes }),
      end: () => this.#order({ order: 'end', id }),
      reset: () => this.#order({ order: 'reset', id }),
    });
    this.#connections.push(connection);
    this.#order({ order: 'connect', id, options: complete });
    return connection;
  }

  #order(order: AgentOrder): void {
    if (this.#agent.connected) this.#agent.send(order);
  }
}

/** A local port that no connection of this test process was given yet, for a rule that is made before the connection. */
export function nextLocalPort(): number {
  lastPort += 1;
  return lastPort;
}
