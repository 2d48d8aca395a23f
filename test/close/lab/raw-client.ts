import { fileURLToPath } from 'node:url';
import type { Host } from '../../lab/lab.ts';
import { nextLocalPort } from '../../lab/lab-client.ts';

const program = fileURLToPath(new URL('../../fixtures/close/lab-raw-client.js', import.meta.url));

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

/** What each step came to: `done` or an errno's name. */
export type RawTold =
  | { readonly told: 'connected' | 'sent'; readonly outcome: string }
  | { readonly told: 'closed'; readonly received: string; readonly ended: string };

/** A connection by system calls. */
export interface RawConnection {
  readonly connected: Promise<string>;
  readonly sent: Promise<string>;
  readonly closed: Promise<{ readonly received: string; readonly ended: string }>;
}

/** Connects from a process of its own. None of its promises rejects; a client that ended before it had told is `gone`. */
export function connectRaw(
  host: Host,
  order: Omit<RawOrder, 'localPort'> & { readonly localPort?: number },
): RawConnection {
  const client = host.fork(program, [JSON.stringify({ ...order, localPort: order.localPort ?? nextLocalPort() })]);
  const next = <T>(gone: T, pick: (message: RawTold) => T | undefined): Promise<T> =>
    new Promise((resolve) => {
      client.on('message', (message: RawTold) => {
        const picked = pick(message);
        if (picked !== undefined) resolve(picked);
      });
      client.once('disconnect', () => resolve(gone));
    });
  return {
    connected: next('gone', (message) => (message.told === 'connected' ? message.outcome : undefined)),
    sent: next('gone', (message) => (message.told === 'sent' ? message.outcome : undefined)),
    closed: next({ received: '', ended: 'gone' }, (message) =>
      message.told === 'closed' ? { received: message.received, ended: message.ended } : undefined,
    ),
  };
}
