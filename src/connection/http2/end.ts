import type { ServerHttp2Session } from 'node:http2';
import type { Protocol } from '../../close/report.ts';
import { delayedAcknowledgement } from '../acknowledged.ts';
import type { ClosingConnection } from '../closing-connection.ts';
import { LONGEST_PAUSE, type ProtocolEnd, SHORTEST_PAUSE } from '../protocol-end.ts';
import { Http2EventStreams } from './event-streams.ts';
import { SessionFarewell } from './farewell.ts';
import { sessionOn } from './session.ts';

/** The end of an HTTP/2 connection: GOAWAY, then the streams that are open finish, and Node ends the session. */
export class Http2End implements ProtocolEnd {
  readonly protocol: Protocol = 'h2';
  readonly #connection: ClosingConnection;
  #farewell: SessionFarewell | undefined;
  #eventStreams: Http2EventStreams | undefined;

  constructor(connection: ClosingConnection) {
    this.#connection = connection;
  }

  /** Absent until its handshake is done. It stays when Node has taken it off the socket. */
  get session(): ServerHttp2Session | undefined {
    return this.#find()?.session;
  }

  get streams(): ProtocolEnd['streams'] {
    return this.#farewell?.streams;
  }

  get unsent(): number {
    return this.#farewell?.unsent ?? 0;
  }

  /** The frames of the farewell; of the last response a peer may have all and have acknowledged nothing. */
  get farewellBytes(): number {
    const { program, socket, farewell } = this.#connection;
    const frames = this.#farewell?.farewellBytes(socket) ?? 0;
    const hasSaid = !farewell.isToSay || program.writableEnded;
    const isServing = this.#farewell?.isServing === true;
    return frames + (this.#farewell !== undefined && hasSaid && !isServing ? delayedAcknowledgement(socket) : 0);
  }

  look(): number {
    const { socket, farewell, close, isFromQueue } = this.#connection;
    const { idleWait } = close.options;
    const found = this.#find();
    // Its handshake is not done, or it never comes to a session.
    if (found === undefined || found.isOver) return this.#connection.lingerWhenQuiet();
    // A client that came in during the close came to ask something.
    const isNew = isFromQueue && !found.hasServed && this.#connection.quietIn(idleWait) > 0;
    if (isNew || !found.send(socket, idleWait)) return SHORTEST_PAUSE;
    farewell.noteSaid();
    // The program may be ending them itself.
    if (this.#connection.isDraining) return LONGEST_PAUSE;
    this.#eventStreams ??= new Http2EventStreams(this.#connection);
    return this.#eventStreams.look(found.session);
  }

  #find(): SessionFarewell | undefined {
    const { program, socket } = this.#connection;
    const session = this.#farewell === undefined ? sessionOn(program) : undefined;
    if (session !== undefined) this.#farewell = new SessionFarewell(session, program, program !== socket);
    return this.#farewell;
  }
}
