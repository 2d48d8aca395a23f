import net from 'node:net';
import { isBun } from '../node/bun.ts';
import { identityOf } from '../node/socket-fields.ts';
import { serverError } from '../errors.ts';

/**
 * Checks the `servers` argument, once, at the edge; each server is in the result once. Throws a `LastCallError` with code `ERR_SERVER`
 * for anything else.
 */
export function checkServers(servers: unknown): readonly net.Server[] | 'all' {
  if (servers === 'all' && isBun) {
    throw serverError(servers, 'servers by name, for Bun does not show which of them listen');
  }
  if (servers === 'all') return 'all';
  const list: readonly unknown[] = Array.isArray(servers) ? servers : [servers];
  const checked = list.filter((server) => server instanceof net.Server);
  if (checked.length < list.length) throw serverError(list.find((server) => !(server instanceof net.Server)));
  // A server and a Proxy around it are one.
  return [...new Map(checked.map((server) => [identityOf(server), server])).values()];
}
