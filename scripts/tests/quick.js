// What `npm test` runs: each promise of the README with the files that show it, each with its control. Every other file
// belongs to the whole suite (`npm run test:full`) only. A file may stand under more than one promise. The whole list takes
// less than four minutes on two processors; what is dear has a cheaper brother here.

/** @type {readonly { promise: string, files: readonly string[] }[]} `promise` is a sentence of the README, or a part of one. */
export const QUICK = [
  {
    promise: 'Every client that is queued or half-open when the gate shuts is served.',
    files: ['close/storm', 'close/lab-one-client', 'close/calls'],
  },
  {
    promise: 'A client whose SYN has no answer yet is refused: it sees ECONNREFUSED, not ECONNRESET.',
    files: ['close/lab-one-client'],
  },
  {
    promise:
      'A stop always ends, at the deadline at the latest. lastcall then cuts each connection that is still open, and the report names it.',
    files: ['close/time-is-up', 'close/waiting-clients'],
  },
  {
    promise:
      "Where lastcall itself ends a connection, it waits a limited time for the client's acknowledgement and FIN.",
    files: ['connection/half-open', 'connection/prompt-farewell'],
  },
  {
    promise:
      'Where no gate can be shut, lastcall shortens the time in which a client can be reset, but cannot remove it. The report names the gate that was used, and the reason.',
    files: ['close/without-koffi', 'close/unix', 'close/sharing', 'listener/gate', 'listener/passed'],
  },
  {
    promise: 'lastcall works with net, tls, http, https and http2 servers.',
    files: ['close/kinds-of-server', 'close/odd-connections', 'close/wrong-calls'],
  },
  {
    promise: 'a request that was read; pipelined requests; a 413 sent early',
    files: [
      'connection/http1',
      'connection/http1-ending',
      'connection/mixed-pipeline',
      'connection/late-request',
      'connection/early-response',
      'connection/keep-alive-storm',
      'connection/strangers',
    ],
  },
  {
    promise: 'GOAWAY, PING, GOAWAY',
    files: ['connection/http2', 'connection/http2-crossing', 'connection/http2-push'],
  },
  {
    promise: 'Close 1001, or your code and reason',
    files: ['connection/websocket', 'connection/upgraded', 'connection/unanswered-upgrade'],
  },
  { promise: 'close_notify, then FIN', files: ['connection/tls-end', 'connection/farewell-under-tls'] },
  {
    promise: 'the bytes of your `farewell`, or FIN when quiet',
    files: ['connection/example-echo', 'connection/example-smtp', 'connection/throwing-callbacks'],
  },
  {
    promise: 'The promise of a request never claims more than is known: done, not processed, or unknown.',
    files: [
      'channel/close',
      'channel/keys',
      'channel/limits',
      'channel/odd-programs',
      'channel/order',
      'channel/owners',
      'channel/redial',
      'channel/request-table',
      'channel/requests',
      'channel/vectors',
      'channel/example',
    ],
  },
  {
    promise: 'it refuses new clients, serves the rest to the end, calls `onDrained`, and exits with code 0.',
    files: [
      'lifecycle/storm',
      'lifecycle/early-signals',
      'lifecycle/lame-duck',
      'lifecycle/readiness',
      'lifecycle/options',
    ],
  },
  { promise: 'documents the result of every order of events', files: ['lifecycle/orders'] },
  {
    promise: 'does the same for every server that the program makes, including clusters and the commands of frameworks',
    files: [
      'lifecycle/register',
      'lifecycle/program-listeners',
      'lifecycle/supervisor',
      'lifecycle/cluster-storm',
      'lifecycle/environment',
      'register/raised-again',
    ],
  },
  { promise: 'a socket that outlives a restart', files: ['lifecycle/activation'] },
  {
    promise:
      'it shuts the gate from outside, waits until the program has emptied its queues, and then sends the stop signal that the program knows',
    files: [
      'cli/stop',
      'cli/sparkline',
      'program/node-and-python',
      'program/doctor',
      'program/find-target',
      'program/watchdog',
      'program/passed-to',
    ],
  },
  { promise: 'With Express, pass what `app.listen()` returns.', files: ['frameworks/express'] },
  { promise: 'prom-client, and a log in ten lines', files: ['metrics/docs', 'metrics/metrics'] },
  { promise: 'Options', files: ['docs', 'package'] },
  {
    // What these are built of.
    promise: "the kernel's queues, the gates, the report, the limits",
    files: [
      'connection/registry',
      'listener/cookie-samples',
      'listener/half-open',
      'linux/descriptors',
      'linux/filter',
      'linux/holders',
      'linux/inet-diag',
      'linux/libc',
      'linux/netlink',
      'linux/open-listener',
      'linux/pidfd',
      'linux/proc-net',
      'linux/processes',
      'linux/sockets',
      'linux/subreaper',
      'linux/tcp-counters',
      'linux/tcp-info',
      'linux/unix-diag',
      'storm/latencies',
      'storm/options',
      'storm/pipeline',
      'storm/response-reader',
      'storm/storm',
      'lab/handshakes',
      'lab/loss',
      'lab/packet',
      'lab/packet-queue',
      'lab/rules',
    ],
  },
];
