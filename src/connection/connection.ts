/** What a connection speaks. `channel`: that of lastcall/channel; `raw`: TCP, TLS or a Unix socket with a protocol of the program's. */
export type Protocol = (typeof PROTOCOLS)[number];

/** All of them. */
export const PROTOCOLS = ['http/1.1', 'h2', 'websocket', 'channel', 'raw'] as const;

/** Every reason for which a connection was not brought to its end. */
export const CUT_REASONS = ['deadline', 'aborted', 'reset by peer', 'dropped', 'never accepted'] as const;
export type CutReason = (typeof CUT_REASONS)[number];

/** A connection that was not brought to its end. */
export interface CutConnection {
  /** `address:port`, `unix`, or `unknown` for one that was never accepted, or was reset as soon as it was. */
  readonly remote: string;
  readonly protocol: Protocol;
  /**
   * `deadline`, `aborted`, `reset by peer` before it had acknowledged everything, `dropped` by the server's maxConnections,
   * or `never accepted`: the program never saw it.
   */
  readonly reason: CutReason;
  /** Bytes that the peer had not acknowledged. */
  readonly unacknowledged: number;
}

/** What a socket, or the event of one that was dropped, tells of its peer. */
export interface Peer {
  readonly remoteAddress?: string | undefined;
  readonly remoteFamily?: string | undefined;
  readonly remotePort?: number | undefined;
}

/** The peer's address as reports show it. The kernel does not tell that of a TCP connection any more once it was reset. */
export function remoteName(peer: Peer, isTcp: boolean): string {
  if (peer.remoteAddress === undefined) return isTcp ? 'unknown' : 'unix';
  const address = peer.remoteFamily === 'IPv6' ? `[${peer.remoteAddress}]` : peer.remoteAddress;
  return `${address}:${peer.remotePort ?? 0}`;
}

/** The same for a client that Node has dropped; of a Unix socket's peer it says nothing. */
export function droppedName(peer: Peer | undefined): string {
  return remoteName(peer ?? {}, peer !== undefined);
}
