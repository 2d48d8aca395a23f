import type net from 'node:net';
import type { DrainingConnection } from './on-drain.ts';
import type { EndingConnection } from './ending.ts';
import type { Farewell } from './raw/farewell.ts';
import type { WebSocketClients } from './websocket/clients.ts';

/** What the connections of one close share. Times are in milliseconds. */
export interface EndingHost {
  readonly idleWait: number;
  readonly lingerWait: number;
  /** Until when to be more patient than `idleWait` asks, on the clock of `performance.now()`: all is to end by the deadline. */
  readonly patientUntil: number;
  readonly farewell: Farewell | undefined;
  readonly webSockets: WebSocketClients;
  /** Asks the program to bring a connection to its end; the promise is settled when it has done what it can. */
  readonly drain: ((connection: DrainingConnection) => Promise<void>) | undefined;
  /** Whether the connection's last HTTP/1.1 request has begun to come and is not read to its end. */
  isMidRequest(program: net.Socket): boolean;
  countLate(): void;
  countSaid(): void;
  countAnswered(): void;
  onCallbackError(name: string, cause: unknown): void;
  noteReset(connection: EndingConnection, unacknowledged: number): void;
}
