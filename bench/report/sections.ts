import type { Figures } from './figures.ts';
import { withExtremes, withInterval } from './spread-text.ts';
import { STORM_CLIENTS } from '../parts/stops.ts';
import { formatTable } from './table.ts';

/** A heading, what was done, and a table, for each part that was measured. */
export function writeSections(figures: Figures): readonly string[] {
  const { stops, queues, idle, memory, delivery, serving, imports, runs, watching, channel } = figures;
  return [
    ...(stops.length > 0 ? writeStops(figures) : []),
    ...(queues.length > 0 ? writeQueues(figures) : []),
    ...(idle.length > 0 ? writeIdle(figures) : []),
    ...(memory.length > 0 ? writeMemory(figures) : []),
    ...(delivery.length > 0 ? writeDelivery(figures) : []),
    ...(serving.length > 0 ? writeServing(figures) : []),
    ...(imports.length > 0 ? writeImports(figures) : []),
    ...(runs.length > 0 ? writeRuns(figures) : []),
    ...(watching.length > 0 ? writeWatching(figures) : []),
    ...(channel.length > 0 ? writeChannel(figures) : []),
  ];
}

function writeStops({ stops }: Figures): readonly string[] {
  return [
    '## A stop under load',
    `${STORM_CLIENTS} clients open a new connection for each request while the server is stopped, ${stops[0]?.lost.count} stops each. A client is lost when its\nconnection was reset, ended or left without an answer; one that is refused is not. The gate is shut when no new\nconnection can get in any more.`,
    formatTable(
      ['', 'clients lost per stop', 'gate shut after, ms', 'exit after, ms'],
      stops.map(({ title, lost, gate, exit }) => [
        title,
        withExtremes(lost, 0),
        withExtremes(gate, 2),
        withExtremes(exit, 0),
      ]),
    ),
    "A process that has children, or has passed a handle to its parent, first searches /proc for other holders of the listener,\nwhich takes about 10 ms here and 50 ms at most; `gate: 'own'` says that there are none.",
  ];
}

function writeQueues({ queues }: Figures): readonly string[] {
  return [
    '## A queue of connections',
    "The server's loop is blocked until so many clients have connected and asked; then it stops. Times are microseconds for\neach queued connection, from the call until the stop is done; the first row serves the same queue without any stop.\nWhat a stop costs once, such as a walk through all sockets of the host, is in them: it weighs most where few are queued.",
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
    "So many clients have asked once, keep their connections, and have been quiet for lastcall's `idleWait` when the stop is\nordered; they answer the server's FIN at once. From the order on; CPU time is that of the server's process, its end\nincluded; the ratio is that of the times to exit in the same round. lastcall half-closes each connection and waits for its\nclient's end; the others destroy it, and a request that is on its way to it.",
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
          `The limit of open descriptors here allows ${reduced.connections} connections where ${reduced.wanted} were to be measured.`,
        ]),
  ];
}

function writeMemory({ memory }: Figures): readonly string[] {
  return [
    '## Memory',
    `Bytes of the server's process for each of ${memory[0]?.connections} idle kept connections, ${memory[0]?.heap.count} times each: those of JavaScript after its garbage was\ncollected, and the resident ones, which come in pages. Beyond: more than the plain server of the same round, which has\nno library.`,
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
    `A server is stopped with requests under way on kept connections, which are answered 0.2 s later, ${delivery[0]?.time.count} times each. From\nthe moment at which a client has read the last byte of the last response until the stop is done; clients answer the\nserver's FIN at once, and only lastcall waits for that. A plain server.close() is left out: the kept connections stay open\nuntil their idle time is over.`,
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

function writeServing({ serving }: Figures): readonly string[] {
  return [
    '## Serving',
    "CPU time of the server per request with lastcall imported and the server seen by it, against a plain server, in rounds one\nright after the other, on a processor of their own where there are two; the noise is a second plain server against the\nfirst in the same rounds. In brackets where the true median lies, 95 times in 100. The HTTP/2 servers have Express,\nFastify, undici and ws loaded, all three: a process that has loaded next to nothing serves HTTP/2 for up to a fifth less\nthan the same one after any import of some size, commander's and ws' as well as lastcall's, whether it is used or not.",
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
    'In a fresh process with node:http loaded. The first row is a process that imports nothing; the others are what comes on\ntop of it. lastcall loads its FFI when the first server listens.',
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
    'From the start of the parent until the program runs, and what the parent holds in memory while it does. tini and dumb-init\nhand signals on and wait for orphans; they know nothing of listeners.',
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
    '`lastcall watch` of one port, one look a second. Two ports are two questions to the kernel, which walks its whole table for each.',
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
    `Requests that are answered with their own bytes, ${count} rounds of each load; server and clients are a process each, on two processors\nwhere there are two. Each contender as it is by default, and each connection with so many requests under way at once.\n\`ahead\`: how many times as many requests lastcall/channel does in the same round.`,
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
