import { styleText } from 'node:util';
import type { CloseReport, ListenerReport } from '../../index.ts';
import type { StormCounts } from '../../storm/outcome.ts';
import { counted } from '../../counted.ts';
import { alignTable } from '../terminal/text.ts';
import type { DemoResult, WayResult } from './result.ts';

type Column = readonly [heading: string, count: (way: WayResult) => number, isLoss: boolean];

const COLUMNS: readonly Column[] = [
  ['served', ({ counts }) => counts.served, false],
  ['refused', ({ counts }) => counts.refused, false],
  ['RESET', ({ counts }) => counts.reset, true],
  ['cut', ({ counts }) => counts.cut, true],
  ['EOF', ({ counts }) => counts.eof, true],
  ['no answer', ({ counts }) => counts.unanswered, true],
  ['lost', ({ lost }) => lost, true],
];
const FAILED: Column = ['failed', ({ counts }) => counts.failed, true];

/** Describes the result of the demo for people. */
export function describeDemo(result: DemoResult, colour: boolean): string {
  const stops = result.ways[0]?.stops.length ?? 0;
  return [
    '',
    `${counted(result.clients, 'client')}, a new connection for each request, on 127.0.0.1:${result.port}; an http server`,
    `stopped ${stops === 1 ? 'once' : `${stops} times`} each way. What the clients saw${stops === 1 ? '' : ', all stops added up'}:`,
    '',
    ...describeCounts(result.ways, colour).map((line) => `  ${line}`),
    '',
    '  refused: never connected; the client knows at once. lost: connected, and then reset, cut',
    '  in the middle of the answer, ended without an answer (EOF), or left waiting.',
    '',
    'How lastcall closed:',
    ...describeReports(result.ways).map((line) => `  ${line}`),
    '',
    paint(result.verdict.ok ? 'green' : 'red', result.verdict.text, colour),
    '',
  ].join('\n');
}

function describeCounts(ways: readonly WayResult[], colour: boolean): string[] {
  const anyFailed = ways.some(({ counts }: { counts: Readonly<StormCounts> }) => counts.failed > 0);
  const columns = anyFailed ? [...COLUMNS, FAILED] : COLUMNS;
  const rows = [
    ['', ...columns.map(([heading]) => heading)],
    ...ways.map((way) => [way.way, ...columns.map(([, count]) => number(count(way)))]),
  ];
  return alignTable(rows, (padded, row, column) => {
    const isLoss = columns[column - 1]?.[2] === true;
    return row > 0 && isLoss && padded.trim() !== '0' ? paint('red', padded, colour) : padded;
  });
}

function describeReports(ways: readonly WayResult[]): string[] {
  const reports = ways.flatMap(({ stops }) => stops.flatMap(({ report }) => (report ? [report] : [])));
  return reports.flatMap((report, index) => describeReport(`stop ${index + 1}: `, report));
}

function describeReport(label: string, report: CloseReport): string[] {
  const { ended, cut } = report.connections;
  const closed = report.listeners.map(({ closedAfter }) => milliseconds(closedAfter)).join(', ');
  const outcome = `${counted(ended, 'connection')} ended, ${number(cut.length)} cut; ${milliseconds(report.duration)} in all.`;
  const lines = [
    ...report.listeners.flatMap(describeListener),
    `listener closed after ${closed}; ${outcome}`,
    ...countReasons(cut).map(([reason, count]) => `cut: ${number(count)}, ${reason}`),
  ];
  return lines.map((line, index) => (index === 0 ? label : ' '.repeat(label.length)) + line);
}

function describeListener({ gate, reason, cookies, queued, halfOpen, abandoned }: ListenerReport): string[] {
  const lines = [`gate ${gate}; ${number(queued)} queued and ${number(halfOpen)} half-open when it shut;`];
  if (reason !== undefined) lines.push(`no better gate: ${reason};`);
  if (cookies > 0) lines.push(`${counted(cookies, 'SYN cookie')} out;`);
  if (abandoned > 0) lines.push(`${counted(abandoned, 'handshake')} never completed;`);
  return lines;
}

function countReasons(cut: CloseReport['connections']['cut']): [reason: string, count: number][] {
  const counts = new Map<string, number>();
  for (const { reason } of cut) counts.set(reason, (counts.get(reason) ?? 0) + 1);
  return [...counts];
}

function paint(style: 'green' | 'red', text: string, colour: boolean): string {
  return colour ? styleText(style, text) : text;
}

function number(value: number): string {
  return value.toLocaleString('en');
}

function milliseconds(value: number): string {
  return `${number(Math.round(value))} ms`;
}
