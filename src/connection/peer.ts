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
