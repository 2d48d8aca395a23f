/** The peer, as a socket or a 'drop' event has it. */
export interface Peer {
  readonly remoteAddress?: string | undefined;
  readonly remoteFamily?: string | undefined;
  readonly remotePort?: number | undefined;
}

/** The peer's address as reports show it. Of a TCP connection that was reset the kernel does not know it any more. */
export function remoteName(peer: Peer, isTcp: boolean): string {
  if (peer.remoteAddress === undefined) return isTcp ? 'unknown' : 'unix';
  const address = peer.remoteFamily === 'IPv6' ? `[${peer.remoteAddress}]` : peer.remoteAddress;
  return `${address}:${peer.remotePort ?? 0}`;
}

/** The same for a client that Node has dropped. For a Unix socket the event has no peer. */
export function droppedName(peer: Peer | undefined): string {
  return remoteName(peer ?? {}, peer !== undefined);
}
