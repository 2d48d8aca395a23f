import type net from 'node:net';

/** How far a server's farewell to a client has come. */
export type FarewellState = 'not said' | 'said' | 'answered';

/** The channel on a connection (lastcall/channel): it ends by itself once its farewell is answered and all replies are out. */
export interface ChannelEnding {
  readonly farewell: FarewellState;
  /** Says the farewell, or as soon as the client has greeted. */
  goodbye(): void;
}

const endings = new WeakMap<net.Socket, ChannelEnding>();

/** A channel is on this connection from now on (the program's socket). */
export function noteChannel(program: net.Socket, ending: ChannelEnding): void {
  endings.set(program, ending);
}

/** The channel on a connection, where there is one. */
export function channelOn(program: net.Socket): ChannelEnding | undefined {
  return endings.get(program);
}
