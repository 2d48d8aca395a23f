import { optionError } from '../errors.ts';
import { checkFunction, checkNames, checkSignal, isObject, milliseconds } from '../option-checks.ts';
import type {
  CloseOptions,
  CompleteCloseOptions,
  Farewell,
  IsEndedEarly,
  WebSocketClose,
  WebSocketServerLike,
} from './options.ts';

/** RFC 6455 5.5: a control frame carries 125 bytes at most, two of which are the code. */
const LONGEST_REASON = 123;

/** Every option of a close. */
export const CLOSE_OPTION_NAMES: readonly string[] = [
  'deadline',
  'newConnections',
  'gate',
  'handshakeWait',
  'idleWait',
  'lingerWait',
  'answerWait',
  'eventStreams',
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
    ownGate: checkGate(options.gate) === 'own',
    sharedGate: options.gate === 'shared',
    handshakeWait: milliseconds('handshakeWait', options.handshakeWait, 3_500),
    idleWait: milliseconds('idleWait', options.idleWait, 2_000),
    lingerWait: milliseconds('lingerWait', options.lingerWait, 2_000),
    answerWait: milliseconds('answerWait', options.answerWait, 10_000),
    eventStreams: checkEventStreams(options.eventStreams),
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

function checkGate(value: unknown): 'own' | 'shared' | undefined {
  if (value === undefined || value === 'own' || value === 'shared') return value;
  throw optionError('gate', '`own`, `shared` or left out', value);
}

function checkEventStreams(value: CloseOptions['eventStreams']): 'reconnecting' | 'all' | 'none' | IsEndedEarly {
  if (value === undefined) return 'reconnecting';
  if (value === 'reconnecting' || value === 'all' || value === 'none' || typeof value === 'function') return value;
  throw optionError('eventStreams', '`reconnecting`, `all`, `none`, or a function', value);
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

/** Whether an endpoint may send this code (RFC 6455 7.4, and the registry of codes: 1012 service restart, 1013, 1014). */
function isCloseCode(code: number): boolean {
  if (!Number.isInteger(code)) return false;
  return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) || (code >= 3000 && code <= 4999);
}
