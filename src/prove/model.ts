import type { Recording } from '../storm/record/recording.ts';

/** What is done to the service, again and again. */
export type Action = 'stop' | 'restart' | 'reload';

/** One of the contenders that are compared: the same work for each. */
export interface Contender {
  /** As it is shown: `node server.js`, `with lastcall`. */
  readonly name: string;
  /** Empty where the service is somebody else's, at a URL. */
  readonly command: readonly string[];
}

/**
 * One stop, restart or reload, and its marks, in µs since the recording began, as `Recording` has them. A mark that could not be
 * seen is undefined.
 */
export interface ActionMarks {
  /** From 1. */
  readonly number: number;
  readonly action: Action;
  /** The signal, or the command. */
  readonly by: string;
  /** The signal was sent, or the command was started. */
  readonly asked: number;
  /** The gate was shut: the listener refused, but was still there. */
  readonly gateShut?: number | undefined;
  /** The old listener was gone. */
  readonly closed?: number | undefined;
  /** The last response of the old program ended. */
  readonly lastResponse?: number | undefined;
  /** The old program ended. */
  readonly exited?: number | undefined;
  readonly exitCode?: number | null | undefined;
  readonly exitSignal?: string | null | undefined;
  /** It did not end in time, and was killed. */
  readonly killed: boolean;
  /** The service answered again. */
  readonly ready?: number | undefined;
}

/** The server's queues at one moment, as the kernel shows them. */
export interface QueueSample {
  /** In µs since the recording began. */
  readonly at: number;
  readonly queued: number;
  readonly halfOpen: number;
}

/** Whether the client side was fit to judge. */
export interface ClientHealth {
  /** Of the event loop, in ms. */
  readonly loopDelay: { readonly p99: number; readonly max: number };
  /** Share of one processor that this process used, 0 to 1. */
  readonly cpu: number;
  /** The control probe: requests to an echo of our own, over the same way. */
  readonly control: { readonly requests: number; readonly failed: number; readonly p99: number; readonly max: number };
  /** Each reason why the run cannot judge, a sentence each. Empty: it can. */
  readonly faults: readonly string[];
}

/** All that was seen of one contender. */
export interface ContenderRun {
  readonly contender: Contender;
  /** The wall clock when its recording began, in ms since 1970. */
  readonly startedAt: number;
  /** In µs. */
  readonly duration: number;
  readonly recording: Recording;
  readonly actions: readonly ActionMarks[];
  readonly queues: readonly QueueSample[];
  readonly health: ClientHealth;
  /** The limit for an answer, in µs. */
  readonly timeout: number;
}

/** The run as it was asked for, for the report. */
export interface RunSettings {
  readonly action: Action;
  readonly by: string;
  readonly times: number;
  readonly clients: number;
  /** Requests a second in all, of an open loop; undefined: as fast as the answers come. */
  readonly rate?: number | undefined;
  readonly protocol: 'http1' | 'http2' | 'line' | 'websocket';
  readonly tls: boolean;
  /** As a person reads it: `127.0.0.1:8080`, `unix:/run/app.sock`. */
  readonly target: string;
  /** Of the wire, in ms and as a share; undefined without one. */
  readonly wire?: { readonly delay: number; readonly loss: number } | undefined;
  /** The limits that `--allow` sets, per kind. */
  readonly allow: Readonly<Partial<Record<LossKind, number>>>;
}

/** In which phase of an action something happened to a request: by when it ended. */
export const PHASES: readonly Phase[] = ['serving', 'stopping', 'down', 'back'];
/**
 * `serving`: before the signal. `stopping`: from the signal to the exit of the old program. `down`: from there until the
 * service answers again. `back`: from there on.
 */
export type Phase = 'serving' | 'stopping' | 'down' | 'back';

/**
 * Each kind of loss. `reset`: after the handshake, before a byte of the response. `closed`: EOF there. `cut`: in the middle of a
 * response, or one that breaks the protocol. `idle-closed`: a request on a kept connection that met its end. `unanswered`: no
 * whole response in time. `error`: a status of 500 or above. `refused`: no listener; a loss only at a restart or reload, where the
 * service should have stayed.
 */
export const LOSS_KINDS: readonly LossKind[] = [
  'reset',
  'closed',
  'cut',
  'idle-closed',
  'unanswered',
  'error',
  'refused',
];
export type LossKind = 'reset' | 'closed' | 'cut' | 'idle-closed' | 'unanswered' | 'error' | 'refused';

/** What the latencies of some requests were, in ms. Undefined without one. */
export interface LatencyFigures {
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly max: number;
}

/** One probe in one phase. */
export interface PhaseFigures {
  readonly probe: 'new' | 'reused';
  readonly phase: Phase;
  readonly requests: number;
  readonly served: number;
  readonly lost: Readonly<Record<LossKind, number>>;
  /** Refused where that is no loss, sent again by right (`unprocessed`), or ended by us. */
  readonly notServed: number;
  readonly latency: LatencyFigures | undefined;
}

/** One kind of loss: how many, why, and what to do. */
export interface Loss {
  readonly kind: LossKind;
  readonly probe: 'new' | 'reused';
  readonly phase: Phase;
  readonly count: number;
  /** Not more than `--allow` permits. */
  readonly allowed: boolean;
  /** One sentence each, for people. */
  readonly sentence: string;
  readonly cause: string;
  readonly remedy: string;
  /** A page and heading of the documentation, such as `docs/prove.md#reset`. */
  readonly docs: string;
  /** The first few: the request's row in the recording, and its times in ms from the signal of its action. */
  readonly examples: readonly LossExample[];
}

export interface LossExample {
  readonly request: number;
  readonly connection: number | undefined;
  readonly action: number;
  /** In ms from the signal; negative: before it. */
  readonly sentAt: number | undefined;
  readonly endedAt: number;
}

/** Something that is no loss, and still worth a sentence: late answers, the time without a listener, a kill at the deadline. */
export interface Remark {
  readonly kind: 'late answers' | 'refused' | 'idle reset' | 'killed' | 'exit code' | 'not seen';
  readonly count: number;
  readonly sentence: string;
}

/** The judgement of one contender. */
export interface ContenderVerdict {
  readonly name: string;
  readonly outcome: 'nobody lost' | 'clients lost' | 'inconclusive';
  readonly sentence: string;
  readonly requests: number;
  readonly connections: number;
  readonly lost: number;
  /** What 0 lost of so many shows: fewer than 1 in so many, at 95 % (the rule of three). Undefined where some were lost. */
  readonly fewerThanOneIn: number | undefined;
  readonly phases: readonly PhaseFigures[];
  readonly losses: readonly Loss[];
  readonly remarks: readonly Remark[];
}

/** The judgement of the whole run: that of the first contender. The others are there to compare. */
export interface Verdict {
  readonly outcome: ContenderVerdict['outcome'];
  readonly exitCode: 0 | 1 | 75;
  readonly sentence: string;
  readonly contenders: readonly ContenderVerdict[];
}
