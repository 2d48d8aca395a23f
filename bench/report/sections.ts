import type { Figures } from './figures.ts';
import { withExtremes, withInterval } from './spread-text.ts';
import { REFUSED_SESSIONS } from '../parts/refused.ts';
import { STORM_CLIENTS } from '../parts/stops.ts';
import { formatTable } from './table.ts';

/** A heading, what was done, and a table, for each part that was measured. */
export function writeSections(figures: Figures): readonly string[] {
  const { stops, queues, idle, memory, delivery, refused, serving, imports, runs, watching, channel, usual } = figures;
  return [
    ...(stops.length > 0 ? writeStops(figures) : []),
    ...(queues.length > 0 ? writeQueues(figures) : []),
    ...(idle.length > 0 ? writeIdle(figures) : []),
    ...(memory.length > 0 ? writeMemory(figures) : []),
    ...(delivery.length > 0 ? writeDelivery(figures) : []),
    ...(refused.length > 0 ? writeRefused(figures) : []),
    ...(serving.length > 0 ? writeServing(figures) : []),
    ...(imports.length > 0 ? writeImports(figures) : []),
    ...(runs.length > 0 ? writeRuns(figures) : []),
    ...(watching.length > 0 ? writeWatching(figures) : []),
    ...(channel.length > 0 ? writeChannel(figures) : []),
    ...(usual.length > 0 ? writeUsual(figures) : []),
  ];
}

function writeStops({ stops }: Figures): readonly string[] {
  return [
    '## A stop under load',
    `The server is stopped ${stops[0]?.lost.count} times. At each stop, ${STORM_CLIENTS} clients open a new connection for each request. A client is lost if its\nconnection was reset, ended or left without an answer. A refused client is not lost. The gate is shut when no new\nconnection can get in any more.`,
    formatTable(
      ['', 'clients lost per stop', 'gate shut after, ms', 'exit after, ms'],
      stops.map(({ title, lost, gate, exit }) => [
        title,
        withExtremes(lost, 0),
        withExtremes(gate, 2),
        withExtremes(exit, 0),
      ]),
    ),
    "A process that has children, or has passed a handle to its parent, first searches /proc for other holders of the\nlistener. This takes about 10 ms here, and at most 50 ms in that turn of the event loop; a longer search goes\non in the next turns. `gate: 'own'` declares that there are none.",
  ];
}

function writeQueues({ queues }: Figures): readonly string[] {
  return [
    '## A queue of connections',
    "The server's event loop is blocked until the number of clients in the table has connected and sent requests. Then the\nserver stops. Times are microseconds per queued connection, from the call until the stop is done. The first row serves\nthe same queue without a stop. The times include the fixed costs of a stop, such as a walk through all sockets of the\nhost. These costs weigh most when few connections are queued.",
    formatTable(
      ['', 'queued', 'clients lost', 'time for each, µs', 'CPU for each, µs'],
      queues.map(({ title, queued, lost, time, cpu }) => [
        title,
        `${queued}`,
        withExtremes(lost, 0),
        withExtremes(time, 0),
        withExtremes(cpu, 0),
      ]),
    ),
  ];
}

function writeIdle({ idle }: Figures): readonly string[] {
  const reduced = idle.findLast(({ connections, wanted }) => connections < wanted);
  return [
    '## Idle connections',
    "The clients have sent one request each and keep their connections. They have been quiet for lastcall's `idleWait` when\nthe stop begins. They answer the server's FIN at once. Times count from the beginning of the stop. CPU time is that of\nthe server's process, including its end. The ratio compares the times to exit in the same round. lastcall half-closes\neach connection and waits for its client's end. The others destroy it, and with it a request that is on its way.",
    formatTable(
      ['', 'connections', 'stops', 'reset', 'done after, ms', 'exit after, ms', 'against plain', 'CPU, ms'],
      idle.map(({ title, connections, reset, done, exit, ratio, cpu }) => [
        title,
        `${connections}`,
        `${exit.count}`,
        withExtremes(reset, 0),
        withExtremes(done, 0),
        withExtremes(exit, 0),
        withExtremes(ratio, 2),
        withExtremes(cpu, 0),
      ]),
    ),
    ...(reduced === undefined
      ? []
      : [
          `The limit of open descriptors here allows ${reduced.connections} connections. The plan was to measure ${reduced.wanted}.`,
        ]),
  ];
}

function writeMemory({ memory }: Figures): readonly string[] {
  return [
    '## Memory',
    `The table shows bytes of the server's process for each of ${memory[0]?.connections} idle kept connections, measured ${memory[0]?.heap.count} times. The JavaScript\nbytes are taken after garbage collection. The resident bytes come in pages. Beyond means more than the plain server of\nthe same round, which has no library.`,
    formatTable(
      ['', 'JavaScript', 'beyond', 'resident', 'beyond'],
      memory.map(({ title, heap, heapBeyond, resident, residentBeyond }) => [
        title,
        withExtremes(heap, 0),
        withExtremes(heapBeyond, 0),
        withExtremes(resident, 0),
        withExtremes(residentBeyond, 0),
      ]),
    ),
  ];
}

function writeDelivery({ delivery }: Figures): readonly string[] {
  return [
    '## The end of a close',
    `A server is stopped ${delivery[0]?.time.count} times with requests under way on kept connections. It answers them 0.2 s later. The time runs\nfrom the moment at which a client has read the last byte of the last response until the stop is done. Clients answer the\nserver's FIN at once, and only lastcall waits for that. A plain server.close() is left out, because the kept connections\nstay open until their idle time is over.`,
    formatTable(
      ['', 'requests', 'round trip, ms', 'reset', 'last response to done, ms'],
      delivery.map(({ title, connections, roundTrip, reset, time }) => [
        title,
        `${connections}`,
        `${roundTrip}`,
        withExtremes(reset, 0),
        withExtremes(time, 1),
      ]),
    ),
    ...(delivery.some(({ roundTrip }) => roundTrip > 0)
      ? []
      : ['The lab, which has a wire with a delay, could not be built here.']),
  ];
}

function writeRefused({ refused }: Figures): readonly string[] {
  return [
    '## HTTP/2 streams at a stop, under TLS',
    `The server is stopped ${refused[0]?.refused.count} times, while each of ${REFUSED_SESSIONS} sessions opens a stream every millisecond. A refused stream was never\nprocessed, and its client may send it again.`,
    formatTable(
      ['', 'served', 'refused', 'cut'],
      refused.map((one) => [
        one.title,
        withExtremes(one.served, 0),
        withExtremes(one.refused, 0),
        withExtremes(one.cut, 0),
      ]),
    ),
  ];
}

function writeServing({ serving }: Figures): readonly string[] {
  return [
    '## Serving',
    "The table compares the server's CPU time per request with a plain server. In the compared server, lastcall is imported\nand sees the server. The rounds follow one right after the other, on a processor of their own if there are two. The\nnoise is a second plain server compared with the first in the same rounds. The true median lies within the brackets 95\ntimes in 100. The HTTP/2 servers all have Express, Fastify, undici and ws loaded. The reason is that a process that has\nloaded almost nothing serves HTTP/2 up to a fifth slower than after any larger import. Such an import may be commander,\nws or lastcall, whether it is used or not.",
    formatTable(
      ['', 'without, µs', 'with, µs', 'with / without', 'noise'],
      serving.map((one) => [
        one.title,
        one.without.toFixed(1),
        one.with.toFixed(1),
        withInterval(one.ratio, 3),
        withInterval(one.noise, 3),
      ]),
    ),
  ];
}

function writeImports({ imports }: Figures): readonly string[] {
  return [
    '## Import',
    'Each row is a fresh process with node:http loaded. The first row imports nothing. The other rows show what each import\nadds. lastcall loads its FFI when the first server listens.',
    formatTable(
      ['', 'import, ms', 'memory, MiB', 'until a server listens, ms', 'memory then, MiB'],
      imports.map((one) => [
        one.title,
        one.time.toFixed(1),
        (one.memory / 1_024).toFixed(1),
        one.untilListening.toFixed(1),
        (one.memoryListening / 1_024).toFixed(1),
      ]),
    ),
  ];
}

function writeRuns({ runs }: Figures): readonly string[] {
  const gates = runs.flatMap(({ gate }) => gate);
  return [
    '## Running a program',
    "The first column runs from the start of the parent until the program runs. The second shows the parent's memory while\nthe program runs. tini and dumb-init pass signals on and wait for orphans. They know nothing of listeners.",
    formatTable(
      ['', 'until the program runs, ms', 'memory, MiB'],
      runs.map(({ title, start, memory }) => [title, withExtremes(start, 0), (memory.median / 1_024).toFixed(1)]),
    ),
    formatTable(
      ['descendants of the program', 'from the signal to the shut gate, ms'],
      gates.map(({ descendants, after }) => [`${descendants}`, withExtremes(after, 1)]),
    ),
  ];
}

function writeWatching({ watching }: Figures): readonly string[] {
  return [
    '## Watching',
    '`lastcall watch` watches one port, with one look a second. Two ports need two questions to the kernel, and for each the\nkernel walks its whole table.',
    formatTable(
      ['connections', 'CPU, percent of a core'],
      watching.map(({ connections, cpu }) => [connections.toLocaleString('en'), withExtremes(cpu, 1)]),
    ),
  ];
}

function writeChannel({ channel }: Figures): readonly string[] {
  const count = channel[0]?.perSecond.count;
  return [
    '## The channel',
    `Each request is answered with its own bytes. There are ${count} rounds of each load. Server and clients are one process each,\non two processors if there are two. Each contender runs with its defaults. \`at once\` is the number of requests under way\nat once on each connection. \`ahead\` is how many times as many requests lastcall/channel handles in the same round.`,
    formatTable(
      ['', 'bytes', 'connections', 'at once', 'requests per second', 'p99, ms', 'ahead'],
      channel.map(({ title, bytes, connections, atOnce, perSecond, p99, ahead }) => [
        title,
        bytes.toLocaleString('en'),
        `${connections}`,
        `${atOnce}`,
        perSecond.median.toLocaleString('en', { maximumFractionDigits: 0 }),
        (p99.median / 1_000).toFixed(2),
        withExtremes(ahead, 1),
      ]),
    ),
  ];
}

function writeUsual({ usual }: Figures): readonly string[] {
  return [
    '## How long a stop takes',
    'A server is stopped with 50 clients of one sort, and with the default options. The clients behave well: they end their\nside when the server ends its own.',
    formatTable(
      ['clients', 'the stop, ms', 'complete'],
      usual.map(({ clients, duration, complete }) => [
        clients,
        withExtremes(duration, 0),
        `${complete} of ${duration.count}`,
      ]),
    ),
  ];
}
