// The commands that one client may send, and their answers.
import { array, bulk, error, integer, map, none, OK, status } from './resp.js';

const values = new Map();
const lists = new Map();
/** Clients that wait for a value, by the list. */
const waiting = new Map();
let isClosing = false;

/** From now on no client waits: a client that would wait gets the answer that there is no value. */
export function letNobodyWait() {
  isClosing = true;
}

export class Client {
  /** Whether it wants a message when the server moves. node-redis sends `CLIENT MAINT_NOTIFICATIONS ON` by itself. */
  hearsOfMoves = false;
  #reply;
  #version = 2;
  #commands = [];
  /** The list that it waits for. Its next commands wait until it has its answer. */
  #waitsFor;

  constructor(reply) {
    this.#reply = reply;
  }

  hear(commands) {
    this.#commands.push(...commands);
    while (this.#waitsFor === undefined && this.#commands.length > 0) {
      const answer = this.#answer(this.#commands.shift());
      if (answer !== undefined) this.#reply(answer);
    }
  }

  /** Gives a waiting client its answer: the value, or that there is none. */
  stopWaiting(value) {
    if (this.#waitsFor === undefined) return;
    const list = this.#waitsFor;
    waiting.get(list)?.delete(this);
    this.#waitsFor = undefined;
    this.#reply(value === undefined ? none(this.#version) : array([bulk(list), bulk(value)]));
    this.hear([]);
  }

  #answer(words) {
    const [name, ...args] = words.map(String);
    switch (name.toUpperCase()) {
      case 'PING':
        return args.length === 0 ? status('PONG') : bulk(words[1]);
      case 'ECHO':
        return bulk(words[1]);
      case 'SET':
        values.set(args[0], Buffer.from(words[2]));
        return OK;
      case 'GET':
        return bulk(values.get(args[0]), this.#version);
      case 'INCR':
        return this.#increment(args[0]);
      case 'RPUSH':
        return this.#push(args[0], Buffer.from(words[2]));
      case 'BLPOP':
        return this.#pop(args[0]);
      case 'HELLO':
        return this.#hello(args[0]);
      case 'CLIENT':
        return this.#client(args);
      default:
        return error(`unknown command '${name}'`);
    }
  }

  #increment(key) {
    const number = Number(values.get(key) ?? 0) + 1;
    if (!Number.isInteger(number)) return error('value is not an integer or out of range');
    values.set(key, Buffer.from(String(number)));
    return integer(number);
  }

  #push(key, value) {
    const [first] = waiting.get(key) ?? [];
    if (first !== undefined) {
      first.stopWaiting(value);
      return integer(1);
    }
    const list = lists.get(key) ?? [];
    lists.set(key, list);
    return integer(list.push(value));
  }

  /** Waits without a limit, and ignores the time limit of the command. */
  #pop(key) {
    const value = lists.get(key)?.shift();
    if (value !== undefined) return array([bulk(key), bulk(value)]);
    if (isClosing) return none(this.#version);
    this.#waitsFor = key;
    waiting.set(key, (waiting.get(key) ?? new Set()).add(this));
    return undefined;
  }

  #hello(version = '2') {
    if (version !== '2' && version !== '3') return '-NOPROTO unsupported protocol version\r\n';
    this.#version = Number(version);
    const facts = { server: bulk('redis'), version: bulk('7.4.0'), proto: integer(version), mode: bulk('standalone') };
    return map(facts, this.#version);
  }

  #client([order, what]) {
    if (order?.toUpperCase() !== 'MAINT_NOTIFICATIONS') return OK;
    // RESP 2 cannot send a message without a request.
    if (this.#version !== 3) return error('needs RESP 3');
    this.hearsOfMoves = what?.toUpperCase() === 'ON';
    return OK;
  }
}
