import { createHash } from 'node:crypto';
import type net from 'node:net';
import tls from 'node:tls';

/** What TLS knows of a client. */
export interface ChannelTls {
  /** Whether the client's certificate was verified. False where it has shown none, and where the server asks for none. */
  readonly authorized: boolean;
  /** The certificate; undefined where the client has shown none. */
  readonly certificate: tls.PeerCertificate | undefined;
}

/** A client that has connected and greeted, for `identify`. */
export interface ChannelCaller {
  /** `address:port`, or `unix`. */
  readonly remote: string;
  /** Its connection, under TLS the TLS socket. Nothing else may read or write it. */
  readonly socket: net.Socket;
  /** Undefined without TLS. */
  readonly tls: ChannelTls | undefined;
  /** The `identity` that the client has sent, which is a secret between it and the server. Empty where it has sent none. */
  readonly hello: string;
}

/** Who a client is: what its keys belong to. Undefined: by the identity that it has sent. */
export type Identify = (caller: ChannelCaller) => string | undefined;

/** The client of one connection, before it has greeted. */
export interface ConnectedClient {
  readonly remote: string;
  readonly tls: ChannelTls | undefined;
  /** Who it is, by the identity in its greeting. May throw: the server does not accept it. */
  identify(hello: string): string;
}

export function connectedClient(socket: net.Socket, remote: string, identify: Identify): ConnectedClient {
  return {
    remote,
    get tls() {
      return tlsOf(socket);
    },
    identify: (hello) => {
      const identity: unknown = identify({ remote, socket, tls: tlsOf(socket), hello });
      if (identity === undefined) return identityBy(hello);
      if (typeof identity === 'string' && identity.length > 0 && !/\p{Surrogate}/u.test(identity)) return identity;
      throw new TypeError(
        `Expected \`identify\` to return a string that is not empty, or undefined, got ${typeof identity}`,
      );
    },
  };
}

/** Who a client is that has sent this identity. Handlers see who, and must not see the secret. */
export function identityBy(hello: string): string {
  return hello === '' ? '' : createHash('sha256').update(hello).digest('base64url');
}

/**
 * A key as the store has it: bound to the client that it belongs to. No two pairs have the same, for an encoded identity has no `/`.
 */
export function boundKey(identity: string, key: string): string {
  return `${encodeURIComponent(identity)}/${key}`;
}

export function digestOf(payload: Uint8Array): string {
  return createHash('sha256').update(payload).digest('base64url');
}

function tlsOf(socket: net.Socket): ChannelTls | undefined {
  if (!(socket instanceof tls.TLSSocket)) return undefined;
  const certificate = socket.getPeerCertificate();
  // Node returns an object without fields where there is none, and null once the socket is destroyed.
  const hasShown = certificate !== null && Object.keys(certificate).length > 0;
  return { authorized: socket.authorized, certificate: hasShown ? certificate : undefined };
}
