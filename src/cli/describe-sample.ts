import { styleText } from 'node:util';
import type { TcpCounters } from '../linux/tables/tcp-counters.ts';
import type { ListenerSample } from '../program/watch/sample-listeners.ts';
import type { WatchSample } from '../program/watch/sampler.ts';
import { sparkline, squeeze } from './terminal/sparkline.ts';
import { alignTable } from './terminal/text.ts';

/** The lengths of the accept queue at each address in the last minute, the newest last. */
export type QueueHistory = ReadonlyMap<string, readonly number[]>;

export interface WatchStyle {
  readonly colour: boolean;
  /** The width of the screen, in columns. */
  readonly width: number;
}

type Column = readonly [
  heading: string,
  text: (listener: ListenerSample) => string,
  isBad: (listener: ListenerSample) => boolean,
];

const NEVER = (): boolean => false;

const COLUMNS: readonly Column[] = [
  ['LISTENER', ({ address, sockets }) => (sockets === 1 ? address : `${address} x${sockets}`), NEVER],
  ['GATE', gateText, ({ gate }) => gate === 'refuse' || gate === 'unix'],
  ['QUEUED', queueText, ({ queued, limit }) => limit !== undefined && queued > limit],
  ['HALF-OPEN', ({ halfOpen, family }) => ofTcp(family, halfOpen), NEVER],
  ['DROPS', ({ drops }) => (drops === undefined ? '-' : number(drops)), ({ drops = 0 }) => drops > 0],
  ['ESTAB', ({ connections, family }) => ofTcp(family, connections.established), NEVER],
  ['CLOSE-W', ({ connections, family }) => ofTcp(family, connections.closeWait), NEVER],
  ['FIN-W', ({ connections, family }) => ofTcp(family, connections.finWait + connections.closing), NEVER],
  ['TIME-W', ({ connections, family }) => ofTcp(family, connections.timeWait), NEVER],
];

/** Describes a sample for people: the counters of the namespace, and a line for each listener with its last minute below it. */
export function describeSample(
  sample: WatchSample,
  history: QueueHistory,
  { colour, width }: WatchStyle,
): readonly string[] {
  const { listeners } = sample;
  const rows = [COLUMNS.map(([heading]) => heading), ...listeners.map((one) => COLUMNS.map(([, text]) => text(one)))];
  const table = alignTable(
    rows,
    (padded, row, column) => {
      const listener = listeners[row - 1];
      const isBad = listener !== undefined && COLUMNS[column]?.[2](listener) === true;
      return isBad && colour ? styleText('yellow', padded) : padded;
    },
    '  ',
  );
  return [
    ratesLine(sample) + ageText(sample),
    '',
    ...table.flatMap((line, row) => [line, ...minuteLine(listeners[row - 1], history, width)]),
    ...(listeners.length === 0 ? ['no listeners'] : []),
  ];
}

function ratesLine({ rates, counters }: WatchSample): string {
  if (counters === undefined) return 'the counters of this network namespace cannot be read';
  return rates === undefined
    ? `since the network namespace was made: ${listCounters(counters)}`
    : `per second: ${listCounters(rates)}`;
}

/** Many connections are not counted at each look. */
function ageText({ connectionsAge }: WatchSample): string {
  return connectionsAge < 500 ? '' : `; connections counted ${(connectionsAge / 1_000).toFixed(1)} s ago`;
}

function listCounters({ newConnections, overflows, drops, resets, cookies }: TcpCounters): string {
  const words = [
    `${number(newConnections)} accepted`,
    `${number(overflows)} overflows`,
    `${number(drops)} drops`,
    `${number(resets)} resets`,
    `${number(cookies)} SYN cookies`,
  ];
  return words.join(', ');
}

function minuteLine(listener: ListenerSample | undefined, history: QueueHistory, width: number): readonly string[] {
  const values = listener === undefined ? [] : (history.get(listener.address) ?? []);
  if (values.length < 2) return [];
  const most = Math.max(...values);
  const label = '  queued, last minute ';
  const end = ` at most ${number(most)}`;
  const room = Math.min(60, width - label.length - end.length - 2);
  return room < 5 ? [] : [`${label}|${sparkline(squeeze(values, room))}|${end}`];
}

function gateText({ gate, gated, sockets }: ListenerSample): string {
  return gated === sockets ? gate : `${gate} ${gated}/${sockets}`;
}

function queueText({ queued, limit }: ListenerSample): string {
  return limit === undefined ? number(queued) : `${number(queued)} of ${number(limit)}`;
}

function ofTcp(family: ListenerSample['family'], count: number): string {
  return family === 'TCP' ? number(count) : '-';
}

function number(value: number): string {
  return Math.round(value).toLocaleString('en');
}
