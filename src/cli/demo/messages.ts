import type { CloseReport } from '../../index.ts';

/** The two ways of stopping that the demonstration sets side by side. */
export const WAYS = ['server.close()', 'gracefulClose()'] as const;
export type Way = (typeof WAYS)[number];

/** What the demonstration's server tells its parent. */
export type ServerMessage =
  | { readonly kind: 'listening'; readonly port: number }
  | { readonly kind: 'failed'; readonly message: string }
  | { readonly kind: 'closed'; readonly report?: CloseReport };

/** What its parent tells it: the one word that SIGTERM would be, but portable. */
export const STOP = 'stop';

/** The server is of the same package, so its kind tells the rest. */
export function isServerMessage(message: unknown): message is ServerMessage {
  if (typeof message !== 'object' || message === null || !('kind' in message)) return false;
  return message.kind === 'listening' || message.kind === 'failed' || message.kind === 'closed';
}
