import type { CloseOptions, CloseReport } from '../../src/index.ts';
import { within } from '../harness/wait.ts';
import type { AppliedRule, Direction, Lab, Rule } from '../lab/lab.ts';
import { type LabClient, nextLocalPort } from '../lab/lab-client.ts';
import type { LabConnection } from '../lab/lab-connection.ts';
import { bodyOf, endOf } from './interleave-messages.ts';
import type { InterleaveServers } from './interleave-server-driver.ts';

/** The n-th packet of one direction, counted from 1. */
export interface Place {
  readonly direction: Direction;
  readonly nth: number;
}

/** One way in which a close and two requests on one connection can fall together. */
export interface Interleaving {
  readonly how: 'graceful' | 'plain';
  /** Begun while this packet waits on the wire; `answered`: with both answers there; `idle`: with the first one there. */
  readonly closeBefore: Place | 'answered' | 'idle';
  /** Lost once. */
  readonly lost?: Place | undefined;
}

export interface Scenery {
  readonly lab: Lab;
  readonly client: LabClient;
  readonly servers: InterleaveServers;
}

/** What came of it. */
export interface Interleaved {
  readonly received: string;
  readonly ended: string;
  readonly connected: boolean;
  readonly sent: number;
  readonly processed: readonly string[];
  /** Whether the close began where it was meant to. */
  readonly wasThere: boolean;
  readonly wasLost: boolean;
  readonly report: CloseReport | undefined;
}

// Longer than it takes to send once more what was lost, which is 200 ms and two round trips.
const OPTIONS: CloseOptions = { gate: 'own', idleWait: 600, lingerWait: 600, deadline: 20_000 };

// How long a client of a plain close waits: longer than it takes to send everything twice.
const PATIENCE = 5_000;

/** Lets a client ask twice while its server is closed. */
export async function interleave(scenery: Scenery, { how, closeBefore, lost }: Interleaving): Promise<Interleaved> {
  const { client, lab, servers } = scenery;
  const serverPort = await servers.listen();
  const localPort = nextLocalPort();
  const rule = (settings: Pick<Rule, 'direction' | 'packet' | 'action' | 'from'>): Promise<AppliedRule> =>
    lab.wire.rule({ ...settings, clientPort: localPort });
  const ruleAt = ({ direction, nth }: Place, action: 'drop' | 'hold'): Promise<AppliedRule> =>
    rule({ direction, packet: 'any', from: nth, action });
  // The loss first: a packet that another rule holds would not be counted.
  const loss = lost && (await ruleAt(lost, 'drop'));
  const held = typeof closeBefore === 'string' ? undefined : await ruleAt(closeBefore, 'hold');
  const fin =
    closeBefore === 'idle' ? await rule({ direction: 'to client', packet: 'FIN', action: 'hold' }) : undefined;

  const connection = client.connect({
    host: lab.server.ipv4,
    port: serverPort,
    localPort,
    halfOpen: true,
    send: get('/1'),
  });
  const asked = askTwice(connection, closeBefore === 'idle' ? answerTo(fin, connection) : undefined);
  const wasThere = await whereToClose(connection, closeBefore, held);
  await servers.beginClose(serverPort, how, OPTIONS);
  await held?.remove();

  // Of a plain close the client may never hear: its reset, which nobody sends again, was the packet that was lost.
  const patience = how === 'plain' ? setTimeout(() => connection.reset(), PATIENCE) : undefined;
  const sent = await within(`the answers on port ${localPort}`, asked);
  const { received, ended } = await within(`the end on port ${localPort}`, connection.closed);
  clearTimeout(patience);
  const report = how === 'graceful' ? await servers.report(serverPort) : undefined;
  const processed = await servers.forget(serverPort);
  const wasLost = (loss?.acted ?? 0) > 0;
  await Promise.all([loss?.remove(), fin?.remove()]);
  const connected = (await connection.connected) === 'connected';
  return { received, ended, connected, sent, processed, wasThere, wasLost, report };
}

/** How many whole answers these are, in the order of the questions; undefined where one is cut. */
export function countAnswers(received: string): number | undefined {
  const parts = received.split(/(?=HTTP\/1\.1 )/).filter((part) => part !== '');
  return parts.every((part, index) => isAnswer(part, index + 1)) ? parts.length : undefined;
}

function isAnswer(part: string, nth: number): boolean {
  return part.startsWith('HTTP/1.1 200 OK\r\n') && part.split('\r\n\r\n')[1] === bodyOf(`/${nth}`);
}

/** Asks for the second page once the first is there, and, where it is given, `until` has come; then ends its side after the server. */
async function askTwice(connection: LabConnection, until: Promise<unknown> | undefined): Promise<number> {
  if ((await connection.connected) !== 'connected') return 0;
  let isOver = false;
  const asks = connection.receives(endOf('/1')).then(async (whole) => {
    if (until !== undefined) await until;
    // A client that has heard of the end does not ask any more.
    if (!whole || isOver) return 1;
    connection.send(get('/2'));
    return 2;
  });
  const eof = connection.eof.then(async () => {
    if (until !== undefined) await asks;
    isOver = true;
    connection.end();
  });
  const [sent] = await Promise.all([asks, eof]);
  return sent;
}

/** Resolves when the server's FIN is on the wire; the FIN goes on once the client had the time to ask. */
async function answerTo(fin: AppliedRule | undefined, connection: LabConnection): Promise<void> {
  await Promise.race([fin?.next().catch(() => {}), connection.closed]);
  setImmediate(() => void fin?.release().catch(() => {}));
}

async function whereToClose(
  connection: LabConnection,
  closeBefore: Interleaving['closeBefore'],
  held: AppliedRule | undefined,
): Promise<boolean> {
  const answered = connection.receives(endOf(closeBefore === 'idle' ? '/1' : '/2'));
  if (held === undefined) return answered;
  // After a loss there may be fewer packets.
  return Promise.race([
    held.next().then(
      () => true,
      () => false,
    ),
    answered.then(() => false),
  ]);
}

function get(path: string): string {
  return `GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`;
}
