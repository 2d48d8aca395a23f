import net from 'node:net';
import { parserOn, parsersMidRequest, serverOf } from '../../node/fields.ts';

/** Which HTTP/1.1 connections have a request that has begun to come and is not read to its end. Asked once a round. */
export class MidRequest {
  #parsers = new Map<net.Server, ReadonlySet<unknown>>();

  /** Forgets the answers of the last round. */
  refresh(): void {
    this.#parsers = new Map();
  }

  isOn(program: net.Socket): boolean {
    const server = serverOf(program);
    // A connection that has sent nothing yet is among Node's active ones, too.
    if (program.bytesRead === 0 || !(server instanceof net.Server)) return false;
    const parsers = this.#parsers.get(server) ?? parsersMidRequest(server);
    this.#parsers.set(server, parsers);
    return parsers.has(parserOn(program));
  }
}
