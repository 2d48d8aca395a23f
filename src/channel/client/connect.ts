import net from 'node:net';
import tls from 'node:tls';
import { LastCallError, optionError } from '../../errors.ts';
import { milliseconds } from '../../option-checks.ts';
import { SocketTransport } from '../link/socket-transport.ts';
import { ChannelClient } from './client.ts';
import { type ChannelAddress, completeConnectOptions, completeRequest, type ConnectChannelOptions } from './options.ts';
import type { ChannelReply, RequestOptions, RequestPayload } from './request.ts';

/** The channel of a client. Its requests go over one connection after the other. */
export interface Channel {
  /** Whether a request would be sent at once. */
  readonly isConnected: boolean;
  /**
   * Sends a request, and resolves with the whole reply. The payload must not change until then.
   *
   * @throws `LastCallError`, as a rejection, which never claims more than is known. `ERR_REQUEST_FAILED`: the request was processed,
   *   and the handler failed. `ERR_NOT_PROCESSED`: it was not processed. `ERR_OUTCOME_UNKNOWN`: it is unknown which of the two.
   *   `ERR_KEY_REUSED`: its key was used before, with another payload. `ERR_CHANNEL_LIMIT`: the reply is longer than `maxPayload`. `ERR_CHANNEL_CLOSED`: the channel was closed before. `ERR_OPTION`
   *   is thrown at once.
   */
  request(payload: RequestPayload, options?: RequestOptions): Promise<Uint8Array>;
  /**
   * Sends a request, and resolves when the reply begins. Where the connection breaks in the middle of the reply, reading it throws
   * `ERR_OUTCOME_UNKNOWN`. The request is not sent again then.
   */
  requestChunks(payload: RequestPayload, options?: RequestOptions): Promise<ChannelReply>;
  /**
   * Takes no more requests, waits for the replies to those under way, and sends the farewell. Idempotent.
   *
   * @param options.deadline - After how long to cut what is left, in milliseconds. Default 10,000.
   */
  close(options?: { readonly deadline?: number }): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/**
 * Connects to a server that serves a channel. When the server sends its farewell, or the connection breaks, connects to the same or
 * the next address.
 *
 * @param address - Where the server is, or a list of addresses of the same service.
 * @throws `LastCallError` with code `ERR_OPTION` for a wrong address or option.
 *
 * @example
 * ```ts
 * import { connectChannel } from 'lastcall/channel';
 *
 * const channel = connectChannel({ port: 7000 });
 * const reply = await channel.request(Buffer.from('hello'), { exactlyOnce: true });
 * console.log(Buffer.from(reply).toString());
 * await channel.close();
 * ```
 */
export function connectChannel(
  address: ChannelAddress | readonly ChannelAddress[],
  options?: ConnectChannelOptions,
): Channel {
  const { tls: given, ...settings } = completeConnectOptions(address, options);
  const secure = given && withContext(given);
  const client = new ChannelClient({
    ...settings,
    dial: (to) => {
      const socket = secure === undefined ? net.connect({ ...to, noDelay: true }) : tls.connect({ ...secure, ...to });
      if (secure !== undefined) socket.setNoDelay(true);
      return new SocketTransport(socket);
    },
  });
  const close = (when: { readonly deadline?: number } = {}): Promise<void> => {
    if (typeof when !== 'object' || when === null) throw optionError('options', 'an object', when);
    return client.close(milliseconds('deadline', when.deadline, 10_000));
  };
  return {
    get isConnected() {
      return client.isConnected;
    },
    request: (payload, given) => client.request(completeRequest(payload, given), false) as Promise<Uint8Array>,
    requestChunks: (payload, given) => client.request(completeRequest(payload, given), true) as Promise<ChannelReply>,
    close,
    [Symbol.asyncDispose]: () => close(),
  };
}

/** Reads certificates and keys once, for all connections, so that a mistake throws at once. */
function withContext(given: tls.ConnectionOptions): tls.ConnectionOptions {
  try {
    return { ...given, secureContext: given.secureContext ?? tls.createSecureContext(given) };
  } catch (cause) {
    throw new LastCallError('ERR_OPTION', `\`tls\` cannot be used: ${String(cause)}`, { cause });
  }
}
