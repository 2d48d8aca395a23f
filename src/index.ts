import { watchServers } from './prepare.ts';

// Closing
export { gracefulClose } from './close/graceful-close.ts';
export type { CloseOptions } from './close/options.ts';
export type { CloseProgress, CloseReport, ListenerReport } from './close/report.ts';
export type { ConnectionsReport } from './connection/accounts.ts';
export type { CutConnection, CutReason, Protocol } from './connection/connection.ts';
export type { DrainingConnection, OnDrain } from './connection/on-drain.ts';
export type { Farewell } from './connection/raw/farewell.ts';
export type { WebSocketClose, WebSocketLike, WebSocketServerLike } from './connection/websocket/close-frame.ts';
export type { Gate } from './listener/gate/gate.ts';
export { lingeringClose } from './connection/http1/lingering-close.ts';

// The process around
export { lastCall, type LastCall } from './lifecycle/last-call.ts';
export type { LastCallOptions, ReadinessAddress } from './lifecycle/options/options.ts';
export { inheritedListener } from './lifecycle/systemd/inherited-listener.ts';

// Errors
export { LastCallError, type LastCallErrorCode } from './errors.ts';

// Diagnostics channels
export type { ClosedMessage, ConnectionMessage, GateMessage } from './close/diagnostics.ts';
export type { LastCallState, StateMessage } from './lifecycle/state.ts';

watchServers();
