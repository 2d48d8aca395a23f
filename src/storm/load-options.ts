import type { Target } from './connection.ts';
import type { Recording } from './record/recording.ts';

/** What is asked: a request of HTTP, a line, or a message of a WebSocket. */
export interface RequestPlan {
  readonly method: 'GET' | 'POST';
  /** With its query. Not used by `line`. */
  readonly path: string;
  /** Of a POST; of `line` and `websocket` what is sent. */
  readonly body?: Uint8Array;
  /** Its share of all requests, relative to the others' shares. */
  readonly share: number;
}

/** A load that goes on over stops and restarts, until it is stopped. It records what its clients see. */
export interface LoadOptions {
  /** The host is an IP address. */
  readonly target: Target;
  /** The Host field, and the name that TLS asks for. */
  readonly authority: string;
  readonly protocol: 'http1' | 'http2' | 'line' | 'websocket';
  /** Certificates are not checked: the question is what gets lost. */
  readonly tls: boolean;
  /** Clients of each probe: `new` opens a connection for each request, `reused` keeps it. 0: the probe is left out. */
  readonly clients: { readonly new: number; readonly reused: number };
  /** Requests a second of both probes together, due in even steps; undefined: each client asks when it has its answer. */
  readonly rate?: number | undefined;
  /** The shortest and longest pause of a client between two requests, in ms. Not with `rate`. */
  readonly thinkTime: readonly [min: number, max: number];
  readonly plans: readonly RequestPlan[];
  /** Of `line`: the whole answer that is expected, without its end of line. Undefined: any line. */
  readonly expected?: string | undefined;
  /** The time limit for a whole answer, in ms. From when the request was due. */
  readonly timeout: number;
  /** How long a client waits after a refusal or an error of its own, in ms. */
  readonly retryAfter: number;
  /** The field of a response that tells the generations of the program apart, such as its process id; in lower case. */
  readonly generationField?: string | undefined;
  readonly seed: number;
  readonly recording: Recording;
}

/** Live figures, for the progress line. */
export interface LoadCounts {
  requests: number;
  served: number;
  lost: number;
  refused: number;
  /** Errors of the client's own, such as EMFILE: the reasons, with how often each came. */
  readonly ownErrors: Map<string, number>;
}

/** A load under way. */
export interface Load {
  readonly counts: Readonly<LoadCounts>;
  /** Begins no more requests. Resolves once the answers have come, or their time is over, and all is closed. */
  stop(): Promise<void>;
  /** Drops everything at once: what is under way counts as `aborted`. */
  abort(): void;
}
