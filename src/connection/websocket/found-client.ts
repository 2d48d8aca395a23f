import net from 'node:net';
import type { WebSocketLike } from '../../close/options.ts';
import { serverOf } from '../../node/fields.ts';
import { isHttp1Server } from '../http1/server.ts';

/**
 * The `ws` package's object for a connection: it keeps it in a property of the socket that has no name to rely on. It is
 * known by what it can do, and by its own word that the connection is its.
 */
export function clientFoundOn(program: net.Socket): WebSocketLike | undefined {
  const server = serverOf(program);
  if (!(server instanceof net.Server) || !isHttp1Server(server)) return undefined;
  return Reflect.ownKeys(program)
    .map((key): unknown => Object.getOwnPropertyDescriptor(program, key)?.value)
    .find((value): value is WebSocketLike => isClientOn(program, value));
}

function isClientOn(program: net.Socket, value: unknown): value is WebSocketLike {
  if (typeof value !== 'object' || value === null || !('close' in value && 'terminate' in value)) return false;
  const { close, terminate } = value;
  return typeof close === 'function' && typeof terminate === 'function' && Reflect.get(value, '_socket') === program;
}

/** Whether messages wait in it for their compression, or behind one that does (`bufferedAmount`, HTML Standard 9.3). */
export function hasBuffered(client: WebSocketLike): boolean {
  const amount: unknown = Reflect.get(client, 'bufferedAmount');
  return typeof amount === 'number' && amount > 0;
}

/** Whether it has sent a part of a message, and not all of it (`send` with `fin: false`). */
export function isInMessage(client: WebSocketLike): boolean {
  const sender: unknown = Reflect.get(client, '_sender');
  return typeof sender === 'object' && sender !== null && Reflect.get(sender, '_firstFragment') === false;
}

/** The opcode of the first control frame (RFC 6455 11.8); all later ones are control frames, too. */
const CONTROL = 0x8;
const TEXT = 0x1;

/**
 * Whether the frame that it has received last is a Ping or Pong (RFC 6455 5.5), or, of Engine.IO, the packet `3`, which answers
 * the server's heartbeat: a text of one character.
 */
export function hasBeatenLast(client: WebSocketLike, isEngine: boolean): boolean {
  const receiver: unknown = Reflect.get(client, '_receiver');
  if (typeof receiver !== 'object' || receiver === null) return false;
  const opcode: unknown = Reflect.get(receiver, '_opcode');
  if (typeof opcode !== 'number') return false;
  return opcode >= CONTROL || (isEngine && opcode === TEXT && Reflect.get(receiver, '_payloadLength') === 1);
}
