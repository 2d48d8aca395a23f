import { optionError } from '../errors.ts';
import { checkFunction, checkNames, checkSignal, isObject, milliseconds } from '../option-checks.ts';
import type { EndingChoices } from '../connection/end-connections-options.ts';
import type { OnDrain } from '../connection/on-drain.ts';
import type { Farewell } from '../connection/raw/farewell.ts';
import {
  isCloseCode,
  LONGEST_REASON,
  type WebSocketClose,
  type WebSocketServerLike,
} from '../connection/websocket/close-frame.ts';
import type { CloseProgress } from './report.ts';

/** How to close. All times are in milliseconds; 0 means not to wait. */
export interface CloseOptions {
  /** When to cut what is left. Default 30,000. */
  readonly deadline?: number;
  /**
   * What new clients meet: `refuse` (ECONNREFUSED at once) or `hold` (no answer: they try again after 1 s and find
   * whoever listens then; needs CAP_NET_ADMIN on current kernels). Default `refuse`; where `hold` is not allowed the
   * gate is `refuse`, and the report says so.
   */
  readonly newConnections?: 'refuse' | 'hold';
  /** `own`: this process alone holds the listeners, whatever it looks like. Default: found out. */
  readonly gate?: 'own';
  /** How long handshakes that are under way may take. Default 3,500: two retransmissions of a SYN-ACK. */
  readonly handshakeWait?: number;
  /** How long a connection must have been quiet to be ended. Default 2,000. */
  readonly idleWait?: number;
  /** How long to wait for the peer's EOF after our own. Default 2,000. */
  readonly lingerWait?: number;
  /**
   * Over how long the farewells to quiet connections are spread, so that their clients do not all come back at once; at
   * most the deadline. Default 0.
   */
  readonly spread?: number;
  /** For raw TCP, TLS and Unix connections: what to say to a client before it is ended, and how to know its answer. */
  readonly farewell?: Farewell;
  /**
   * Called once for each connection or HTTP/1.1 response that only the program can bring to its end. Where it returns a
   * promise the connection counts as busy until that is settled. `signal` aborts at the deadline. What it throws is in
   * the report's `errors`.
   */
  readonly onDrain?: OnDrain;
  /** The WebSocket servers whose clients are on these connections (`ws`): each client gets its Close through them. */
  readonly webSockets?: WebSocketServerLike | readonly WebSocketServerLike[];
  /** What WebSocket clients are told. Default code 1001 (going away) and no reason. */
  readonly webSocketClose?: Partial<WebSocketClose>;
  /** Abort: the deadline is now. */
  readonly signal?: AbortSignal;
  /** Told where the close is, at most 10 times a second. What it throws is in the report's `errors`. */
  readonly onProgress?: (progress: CloseProgress) => void;
}

/** Options as a close uses them: checked and complete. */
export interface CompleteCloseOptions extends EndingChoices {
  readonly deadline: number;
  readonly newConnections: 'refuse' | 'hold';
  readonly ownGate: boolean;
  readonly handshakeWait: number;
  readonly signal: AbortSignal | undefined;
  readonly onProgress: ((progress: CloseProgress) => void) | undefined;
}

/** Every option of a close. */
export const CLOSE_OPTION_NAMES: readonly string[] = [
  'deadline',
  'newConnections',
  'gate',
  'handshakeWait',
  'idleWait',
  'lingerWait',
  'spread',
  'farewell',
  'onDrain',
  'webSockets',
  'webSocketClose',
  'signal',
  'onProgress',
] satisfies readonly (keyof CloseOptions)[];

const WEB_SOCKET_CLOSE_NAMES = ['code', 'reason'];

/** Checks the options once, at the edge. Throws a `LastCallError` with code `ERR_OPTION` that says what was expected and what came. */
export function completeOptions(given: CloseOptions = {}): CompleteCloseOptions {
  if (!isObject(given)) throw optionError('options', 'an object', given);
  // Its own properties alone, each read once: nothing that somebody has put on Object.prototype is an option.
  const options: CloseOptions = Object.assign(Object.create(null), given);
  checkNames('options', options, CLOSE_OPTION_NAMES);
  const deadline = milliseconds('deadline', options.deadline, 30_000);
  return {
    deadline,
    newConnections: checkNewConnections(options.newConnections),
    ownGate: checkGate(options.gate),
    handshakeWait: milliseconds('handshakeWait', options.handshakeWait, 3_500),
    idleWait: milliseconds('idleWait', options.idleWait, 2_000),
    lingerWait: milliseconds('lingerWait', options.lingerWait, 2_000),
    spread: checkSpread(options.spread, deadline),
    farewell: checkFarewell(options.farewell),
    onDrain: checkFunction('onDrain', options.onDrain),
    webSockets: checkWebSockets(options.webSockets),
    webSocketClose: checkWebSocketClose(options.webSocketClose),
    signal: checkSignal(options.signal),
    onProgress: checkFunction('onProgress', options.onProgress),
  };
}

function checkNewConnections(value: unknown): 'refuse' | 'hold' {
  if (value === undefined || value === 'refuse') return 'refuse';
  if (value === 'hold') return 'hold';
  throw optionError('newConnections', '`refuse` or `hold`', value);
}

function checkGate(value: unknown): boolean {
  if (value === undefined) return false;
  if (value === 'own') return true;
  throw optionError('gate', '`own` or left out', value);
}

function checkSpread(value: unknown, deadline: number): number {
  const spread = milliseconds('spread', value, 0);
  if (spread > deadline) throw optionError('spread', `at most the deadline (${deadline})`, value);
  return spread;
}

function checkFarewell(value: Farewell | undefined): Farewell | undefined {
  if (value === undefined) return undefined;
  if (!isObject(value)) throw optionError('farewell', 'an object', value);
  const say: unknown = Reflect.get(value, 'say');
  const answered: unknown = Reflect.get(value, 'answered');
  if (typeof say !== 'function') throw optionError('farewell.say', 'a function', say);
  if (answered !== undefined && typeof answered !== 'function') {
    throw optionError('farewell.answered', 'a function', answered);
  }
  return value;
}

function checkWebSockets(value: unknown): readonly WebSocketServerLike[] {
  if (value === undefined) return [];
  const servers: readonly unknown[] = Array.isArray(value) ? value : [value];
  return servers.map((server) => {
    if (isWebSocketServer(server)) return server;
    throw optionError('webSockets', 'a server with `clients`, or an array of them', server);
  });
}

function isWebSocketServer(value: unknown): value is WebSocketServerLike {
  if (typeof value !== 'object' || value === null || !('clients' in value)) return false;
  const { clients } = value;
  return typeof clients === 'object' && clients !== null && Symbol.iterator in clients;
}

function checkWebSocketClose(value: unknown): WebSocketClose {
  if (value === undefined) return { code: 1001, reason: '' };
  if (!isObject(value)) throw optionError('webSocketClose', 'an object', value);
  checkNames('webSocketClose', value, WEB_SOCKET_CLOSE_NAMES);
  const { code = 1001, reason = '' }: { readonly code?: unknown; readonly reason?: unknown } = value;
  if (typeof code !== 'number' || !isCloseCode(code)) {
    throw optionError(
      'webSocketClose.code',
      'a code that may be sent (1000 to 1014 but 1004 to 1006, or 3000 to 4999)',
      code,
    );
  }
  if (typeof reason !== 'string' || Buffer.byteLength(reason) > LONGEST_REASON) {
    throw optionError('webSocketClose.reason', `a string of at most ${LONGEST_REASON} bytes`, reason);
  }
  return { code, reason };
}
