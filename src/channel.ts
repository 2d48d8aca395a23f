// Serving
export { serveChannel, type ChannelServer } from './channel/serve.ts';
export type { ServeChannelOptions } from './channel/serve-options.ts';
export type { ChannelHandler, ChannelRequest, HandlerResult } from './channel/request.ts';
export type { ChannelPeer, GoodbyeWords } from './channel/peer.ts';
export type { GoodbyeReason } from './channel/frames.ts';

// Asking
export { connectChannel, type Channel } from './channel/connect.ts';
export type { ChannelAddress, ConnectChannelOptions } from './channel/connect-options.ts';
export type { ChannelReply, RequestOptions, RequestPayload } from './channel/client-request.ts';

// Both
export type { ChannelLimits } from './channel/limits.ts';

// Remembering how requests ended
export { memoryStore, type MemoryStoreOptions } from './channel/memory-store.ts';
export type { Outcome, OutcomeStore } from './channel/outcomes.ts';

// Errors
export { LastCallError, type LastCallErrorCode } from './errors.ts';
