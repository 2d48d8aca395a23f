import net from 'node:net';
import tls from 'node:tls';
import { ChannelClient } from './client.ts';
import type { ChannelReply, RequestOptions, RequestPayload } from './request.ts';
import { type ChannelAddress, completeConnectOptions, completeRequest, type ConnectChannelOptions } from './options.ts';
import { LastCallError, optionError } from '../../errors.ts';
import { milliseconds } from '../../option-checks.ts';
import { SocketTransport } from '../link/socket-transport.ts';

/** A client's channel: requests, over one connection after the other. */
export interface Channel {
  /** Whether a request would be sent at once. */
  readonly isConnected: boolean;
  /**
   * Asks, and resolves with the whole reply. The payload must not change until then.
   *
   * @throws `LastCallError`, as a rejection, and never more than is known. `ERR_REQUEST_FAILED`: it was processed, and the handler
   *   failed. `ERR_NOT_PROCESSED`: it was not. `ERR_OUTCOME_UNKNOWN`: nobody here knows. `ERR_CHANNEL_LIMIT`: the reply
   *   is longer than `maxPayload`. `ERR_CHANNEL_CLOSED`: the channel was closed before. `ERR_OPTION` is thrown at once.
   */
  request(payload: RequestPayload, options?: RequestOptions): Promise<Uint8Array>;
  /**
   * The same, and resolves with the reply as it begins. Where the connection breaks in the middle of it, reading it throws
   * `ERR_OUTCOME_UNKNOWN`: it is not asked for again.
   */
  requestChunks(payload: RequestPayload, options?: RequestOptions): Promise<ChannelReply>;
  /**
   * Takes no more requests, waits for the answers to those there are, and says farewell. Idempotent.
   *
   * @param options.deadline - Milliseconds until everything is cut. Default 10,000.
   */
  close(options?: { readonly deadline?: number }): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/**
 * Connects to a server that serves a channel; when that says farewell, or the connection breaks, to the same or the next address.
 *
 * @param address - Where the server is, or a list of such: each leads to the same service.
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
  const client = new ChannelClient<ChannelAddress>({
    ...settings,
    dial: (to, attach) => {
      const socket = secure === undefined ? net.connect({ ...to, noDelay: true }) : tls.connect({ ...secure, ...to });
      if (secure !== undefined) socket.setNoDelay(true);
      const transport = new SocketTransport(socket);
      transport.listen(attach(transport));
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
    request: (payload, asked) => client.ask(completeRequest(payload, asked), false) as Promise<Uint8Array>,
    requestChunks: (payload, asked) => client.ask(completeRequest(payload, asked), true) as Promise<ChannelReply>,
    close,
    [Symbol.asyncDispose]: () => close(),
  };
}

/** Certificates and keys are read once, for all connections: what is wrong with them is said at once. */
function withContext(given: tls.ConnectionOptions): tls.ConnectionOptions {
  try {
    return { ...given, secureContext: given.secureContext ?? tls.createSecureContext(given) };
  } catch (cause) {
    throw new LastCallError('ERR_OPTION', `\`tls\` is of no use: ${String(cause)}`, { cause });
  }
}
