import { startFixture } from '../../harness/processes.ts';
import type { Host } from '../../lab/lab.ts';
import { nextLocalPort } from '../../lab/lab-client.ts';

/** What the client is to do. */
export interface RawOrder {
  readonly host: string;
  readonly port: number;
  readonly localPort: number;
  readonly send: string;
  /** With TCP_FASTOPEN_CONNECT: connect(2) returns at once, and the first words travel with the SYN once a cookie is known. */
  readonly fastOpen?: boolean;
  readonly multipath?: boolean;
}

/** How a connection ended for the client: `EOF`, or an errno's name. */
export interface RawEnded {
  readonly received: string;
  readonly ended: string;
}

/** What each step came to: `done` or an errno's name. */
export type RawClientSends = { readonly connected: string } | { readonly sent: string } | { readonly closed: RawEnded };

/** A connection by system calls. */
export interface RawConnection {
  readonly connected: Promise<string>;
  readonly sent: Promise<string>;
  readonly closed: Promise<RawEnded>;
}

/** Connects from a process of its own, which ends with its host. None of its promises rejects; a client that ended before it had told is `gone`. */
export function connectRaw(
  host: Host,
  order: Omit<RawOrder, 'localPort'> & { readonly localPort?: number },
): RawConnection {
  const args = [JSON.stringify({ ...order, localPort: order.localPort ?? nextLocalPort() })];
  const client = startFixture<RawClientSends>('close/lab-raw-client', { host, args });
  return {
    connected: client.next('connected').catch(() => 'gone'),
    sent: client.next('sent').catch(() => 'gone'),
    closed: client.next('closed').catch(() => ({ received: '', ended: 'gone' })),
  };
}
