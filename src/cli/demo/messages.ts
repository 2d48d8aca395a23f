import type { CloseReport } from '../../index.ts';

/** The two ways to stop that the demo compares. */
export const WAYS = ['server.close()', 'gracefulClose()'] as const;
export type Way = (typeof WAYS)[number];

/** A message from the server to its parent. */
export type ServerMessage =
  | { readonly kind: 'listening'; readonly port: number }
  | { readonly kind: 'failed'; readonly message: string }
  | { readonly kind: 'closed'; readonly report?: CloseReport };

/** The message from the parent that stops the server: a portable SIGTERM. */
export const STOP = 'stop';

/** Checks only the kind: the server is of the same package. */
export function isServerMessage(message: unknown): message is ServerMessage {
  if (typeof message !== 'object' || message === null || !('kind' in message)) return false;
  return message.kind === 'listening' || message.kind === 'failed' || message.kind === 'closed';
}
