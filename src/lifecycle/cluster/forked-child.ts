import type { ChildProcess } from 'node:child_process';

/** What the primary needs of a worker. */
export interface WorkerLike {
  readonly process: ChildProcess;
  exitedAfterDisconnect: boolean;
  isConnected(): boolean;
  disconnect(): void;
  once(event: 'exit', listener: (code: number | null, signal: string | null) => void): unknown;
}

/** A child of `child_process.fork` that is sent connections: a worker, in a program without node:cluster. */
export class ForkedChild implements WorkerLike {
  readonly process: ChildProcess;
  exitedAfterDisconnect = false;

  constructor(child: ChildProcess) {
    this.process = child;
  }

  isConnected(): boolean {
    return this.process.connected;
  }

  disconnect(): void {
    this.process.disconnect();
  }

  once(event: 'exit', listener: (code: number | null, signal: string | null) => void): void {
    this.process.once(event, listener);
  }
}
