import { LastCallError } from '../../errors.ts';
import { IncomingPayload } from '../flow/incoming-payload.ts';
import type { Link } from '../link/link.ts';
import { RequestTable } from '../link/request-table.ts';
import { END, FAILURE_CODES, FRAME, KEYED, NOTHING, wordFor } from '../wire/frames.ts';
import { encodeKey, readCodeAndText } from '../wire/payloads.ts';
import type { ClientRequest } from './request.ts';

interface Sent {
  readonly request: ClientRequest;
  /** Its reply, where that does not come in one frame. */
  reply: IncomingPayload | undefined;
}

/** The requests under way on one connection, and their replies. */
export class SentRequests {
  readonly #link: Link;
  readonly #maxPayload: number;
  readonly #onFinished: () => void;
  readonly #sent = new RequestTable<Sent>();
  #hasServed = false;

  /** `onFinished`: called when a request is not under way any more. */
  constructor(link: Link, maxPayload: number, onFinished: () => void) {
    this.#link = link;
    this.#maxPayload = maxPayload;
    this.#onFinished = onFinished;
  }

  get size(): number {
    return this.#sent.size;
  }

  /** Whether the server has answered a request. */
  get hasServed(): boolean {
    return this.#hasServed;
  }

  send(id: number, request: ClientRequest): void {
    const { key } = request.details;
    const prefix = key === undefined ? NOTHING : encodeKey(key);
    const payload = request.takePayload();
    request.timesSent += 1;
    this.#sent.add(id, { request, reply: undefined });
    this.#link.sending.send(FRAME.request, key === undefined ? 0 : KEYED, id, payload, prefix, (error) => {
      if (error !== undefined) this.#cancel(id, 'its payload threw', error);
    });
  }

  /** The program has cancelled a request. */
  cancel(request: ClientRequest): void {
    const id = this.#sent.entries().find(([, sent]) => sent.request === request)?.[0];
    if (id !== undefined) this.#cancel(id, 'it was cancelled', request.details.signal?.reason);
  }

  takeReply(id: number, flags: number, payload: Uint8Array): void {
    const sent = this.#sent.get(id);
    if (sent === undefined || sent.reply !== undefined) {
      return this.#link.fail('protocol', `A reply came for request ${id}, which awaits none`);
    }
    const { request } = sent;
    const hasEnded = (flags & END) !== 0;
    if (hasEnded && !request.wantsChunks) {
      this.#link.receiving.consumed(payload.length);
      this.#finishReply(id, request);
      return request.succeed(payload);
    }
    const reply = new IncomingPayload(id, payload, hasEnded, this.#link.receiving, () => this.#abandon(id));
    sent.reply = reply;
    if (request.isSettled) reply.discard();
    else if (request.wantsChunks) request.begin(reply);
    else this.#readWhole(id, request, reply);
    if (hasEnded) this.#finishReply(id, request);
  }

  takeMore(id: number, flags: number, payload: Uint8Array): void {
    const { request, reply } = this.#sent.get(id) ?? {};
    if (request === undefined || reply === undefined) {
      return this.#link.fail('protocol', `More of a reply to ${id} came, which did not begin`);
    }
    const hasEnded = (flags & END) !== 0;
    if (!reply.push(payload, hasEnded)) {
      return this.#link.fail('limit', `More of the reply to ${id} came than was granted`);
    }
    if (hasEnded) this.#finishReply(id, request);
  }

  takeFailure(id: number, payload: Uint8Array): void {
    const { request, reply } = this.#sent.get(id) ?? {};
    const failure = readCodeAndText(payload);
    if (request === undefined || failure === undefined) {
      return this.#link.fail('protocol', `A failure came for request ${id}, which awaits none`);
    }
    const { code, text } = failure;
    const how = wordFor(FAILURE_CODES, code);
    if (how === 'failed') this.#sendReceived(request);
    this.#finish(id);
    request.failBecause(how, text);
    reply?.fail(new LastCallError(how === 'failed' ? 'ERR_REQUEST_FAILED' : 'ERR_OUTCOME_UNKNOWN', text));
  }

  /** The server's GOODBYE has come. Removes the requests that it has not accepted, or returns the id of one that it has answered. */
  refuse(lastAccepted: number): readonly ClientRequest[] | number {
    const refused = this.#sent.entries().filter(([id]) => id > lastAccepted);
    const answered = refused.find(([, { reply }]) => reply !== undefined)?.[0];
    if (answered !== undefined) return answered;
    return refused.map(([id, { request }]) => {
      this.#link.sending.stop(id);
      this.#sent.delete(id);
      request.timesSent -= 1;
      return request;
    });
  }

  /** The connection has ended. Removes all requests: those above `lastAccepted` were not processed, the others may have been. */
  end(error: LastCallError, lastAccepted: number): { notProcessed: ClientRequest[]; inDoubt: ClientRequest[] } {
    const notProcessed: ClientRequest[] = [];
    const inDoubt: ClientRequest[] = [];
    for (const [id, { request, reply }] of this.#sent.entries()) {
      const text = 'The connection broke in the middle of the reply';
      reply?.fail(new LastCallError('ERR_OUTCOME_UNKNOWN', text, { cause: error }));
      if (request.isSettled) request.forgetSignal();
      if (id > lastAccepted) request.timesSent -= 1;
      (id > lastAccepted ? notProcessed : inDoubt).push(request);
    }
    this.#sent.clear();
    return { notProcessed, inDoubt };
  }

  /** Reads a long reply that the program wants whole. */
  #readWhole(id: number, request: ClientRequest, reply: IncomingPayload): void {
    reply.bytes(this.#maxPayload).then(
      (bytes) => request.succeed(bytes),
      (error: unknown) => {
        // The connection has ended. The client decides whether to send the request again.
        if (!(error instanceof LastCallError) || error.code === 'ERR_OUTCOME_UNKNOWN') return;
        request.fail(error);
        this.#cancel(id, error.message, error);
      },
    );
  }

  #finishReply(id: number, request: ClientRequest): void {
    this.#sendReceived(request);
    this.#finish(id);
  }

  /** Lets the server forget the key. A request that was sent once, and answered there, is not on its way anywhere else. */
  #sendReceived({ details: { key, isOwnKey }, timesSent }: ClientRequest): void {
    if (key === undefined || isOwnKey || timesSent !== 1) return;
    this.#link.writer.add(FRAME.received, 0, 0, encodeKey(key));
  }

  #finish(id: number): void {
    this.#hasServed = true;
    this.#sent.get(id)?.request.forgetSignal();
    this.#sent.delete(id);
    // The server may answer before it has the whole request.
    this.#link.sending.stop(id);
    this.#onFinished();
  }

  #cancel(id: number, why: string, cause: unknown): void {
    const sent = this.#sent.get(id);
    if (sent === undefined) return;
    this.#abandon(id);
    sent.reply?.discard(
      () => new LastCallError('ERR_OUTCOME_UNKNOWN', `The reply was not read to its end: ${why}`, { cause }),
    );
    sent.request.failUnknown(why, cause);
  }

  /** Nobody wants the reply. The server's FAILURE, or the end of the reply, frees the id. */
  #abandon(id: number): void {
    if (!this.#sent.has(id)) return;
    this.#link.sending.stop(id);
    this.#link.writer.add(FRAME.cancel, 0, id);
  }
}
