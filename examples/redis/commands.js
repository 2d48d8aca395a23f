// What one client may say, and what it is answered.
import { bulk, error, integer, map, OK, status } from './resp.js';

const values = new Map();

export class Client {
  /** Whether it wants to be told when the server moves: `CLIENT MAINT_NOTIFICATIONS ON`, as node-redis says by itself. */
  hearsOfMoves = false;
  #version = 2;

  answer(words) {
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

  #hello(version = '2') {
    if (version !== '2' && version !== '3') return '-NOPROTO unsupported protocol version\r\n';
    this.#version = Number(version);
    const facts = { server: bulk('redis'), version: bulk('7.4.0'), proto: integer(version), mode: bulk('standalone') };
    return map(facts, this.#version);
  }

  #client([order, what]) {
    if (order?.toUpperCase() !== 'MAINT_NOTIFICATIONS') return OK;
    // RESP 2 has no way to say something unasked.
    if (this.#version !== 3) return error('needs RESP 3');
    this.hearsOfMoves = what?.toUpperCase() === 'ON';
    return OK;
  }
}
