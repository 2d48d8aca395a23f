import type { LinkSettings } from '../link/link.ts';
import type { Outcomes } from './outcomes.ts';
import type { ChannelPeer, GoodbyeWords } from '../wire/peer.ts';
import type { ChannelHandler } from './request.ts';
import type { Clock } from '../wire/transport.ts';

/** What all connections of a server share: its options, checked and complete. Times are in milliseconds. */
export interface ServingSettings {
  readonly handler: ChannelHandler;
  readonly link: LinkSettings;
  readonly clock: Clock;
  readonly outcomes: Outcomes;
  readonly maxPayload: number;
  /** 0: a connection may be idle for ever. */
  readonly idleLimit: number;
  /** What a close says. */
  readonly farewell: GoodbyeWords;
  /** A client has greeted. */
  onOpen(peer: ChannelPeer): void;
  /** A handler has thrown, or a connection has not come to its end in good order. */
  onError(error: unknown, peer: ChannelPeer): void;
}
