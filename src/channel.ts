// Server
export { serveChannel, type ChannelServer } from './channel/server/serve.ts';
export type { ServeChannelOptions } from './channel/server/options.ts';
export type { ChannelHandler, ChannelPeer, ChannelRequest, HandlerResult } from './channel/server/request.ts';
export type { ChannelCaller, ChannelTls, Identify } from './channel/server/caller.ts';
export type { GoodbyeReason } from './channel/wire/frames.ts';
export type { GoodbyeWords } from './channel/wire/payloads.ts';

// Client
export { connectChannel, type Channel } from './channel/client/connect.ts';
export type { ChannelAddress, ConnectChannelOptions } from './channel/client/options.ts';
export type { ChannelReply, RequestOptions, RequestPayload } from './channel/client/request.ts';

// Both
export type { ChannelLimits } from './channel/link/limits.ts';

// Stores for exactly-once
export { memoryStore, type MemoryStoreOptions } from './channel/server/memory-store.ts';
export type { Outcome, OutcomeStore } from './channel/server/outcomes.ts';

// Errors
export { LastCallError, type LastCallErrorCode } from './errors.ts';
