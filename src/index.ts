import { prepareServers } from './prepare.ts';

// Closing
export { gracefulClose } from './servers/graceful-close.ts';
export type { CloseOptions } from './close/options.ts';
export type { CloseProgress, CloseReport, ListenerReport } from './close/report.ts';
export type { ConnectionsReport } from './close/report.ts';
export type { CutConnection, CutReason, Protocol } from './close/report.ts';
export type { DrainingConnection, OnDrain } from './close/options.ts';
export type { EventStreamRequest, IsEndedEarly } from './close/options.ts';
export type { Farewell } from './close/options.ts';
export type { WebSocketClose, WebSocketLike, WebSocketServerLike } from './close/options.ts';
export type { Gate } from './close/report.ts';
export { lingeringClose } from './connection/http1/lingering-close.ts';

// The process around
export { lastCall, type LastCall } from './lifecycle/last-call.ts';
export type { LastCallOptions, ReadinessAddress } from './lifecycle/options/options.ts';
export { waitUntil } from './lifecycle/work.ts';
export { inheritedListener } from './lifecycle/systemd/inherited-listener.ts';

// Errors
export { LastCallError, type LastCallErrorCode } from './errors.ts';

// Diagnostics channels
export type { ClosedMessage, ConnectionMessage, GateMessage } from './close/diagnostics.ts';
export type { LastCallState, StateMessage } from './lifecycle/state.ts';

prepareServers();
