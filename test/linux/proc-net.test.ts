import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  parseCookieCounters,
  parseTcpTable,
  readCookieCounters,
  readSyncookiesSetting,
  readTcpTable,
} from '../../src/linux/tables/proc-net.ts';
import { inodeOf } from '../../src/linux/descriptors.ts';
import { Loopback } from './loopback.ts';

const SYN_RECV = 3;
const LISTEN = 10;

// Linux 6.18, the columns after the ones of interest left out; the numbers changed so that each is its own.
const NETSTAT = `\
TcpExt: SyncookiesSent SyncookiesRecv SyncookiesFailed EmbryonicRsts PruneCalled ListenOverflows ListenDrops
TcpExt: 41 17 2 3 4 90 91
IpExt: InNoRoutes InTruncatedPkts InMcastPkts
IpExt: 0 0 0
MPTcpExt: MPCapableSYNRX MPCapableSYNTX
MPTcpExt: 0 0
`;

const TCP = `\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode                                                     
   0: 00000000:07E8 00000000:0000 0A 00000000:0000001F 00:00000000 00000000     0        0 1590 1 00000000feac9817 100 0 0 10 0                      
   1: 0100007F:B799 0100007F:B7FD 03 00000000:00000000 01:00000063 00000000     0        0 0 1 0000000000000000                                      
`;

const TCP6 = `\
  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000000000000000000001000000:1F90 00000000000000000000000000000000:0000 0A 00000000:00000002 00:00000000 00000000     0        0 5589 1 00000000a2a5a1b6 100 0 0 10 0
`;

test('the counters of SYN cookies are read by the names of their columns', () => {
  assert.deepEqual(parseCookieCounters(NETSTAT), { sent: 41, received: 17 });
});

const NO_COUNTERS: readonly (readonly [what: string, text: string])[] = [
  ['an empty file', ''],
  ['a file without the group', 'IpExt: InNoRoutes\nIpExt: 0\n'],
  ['names without numbers', 'TcpExt: SyncookiesSent SyncookiesRecv\n'],
  ['a missing column', NETSTAT.replace('SyncookiesRecv', 'Other')],
  ['fewer numbers than names', NETSTAT.replace('TcpExt: 41 17 2 3 4 90 91', 'TcpExt: 41')],
  ['a number that is none', NETSTAT.replace('41', 'x')],
];

for (const [what, text] of NO_COUNTERS) {
  test(`${what} has no counters of SYN cookies`, () => {
    assert.equal(parseCookieCounters(text), undefined);
  });
}

test("this kernel's counters and setting are read", () => {
  const counters = readCookieCounters();
  assert(counters !== undefined && counters.sent >= 0 && counters.received >= 0);
  assert([0, 1, 2].includes(readSyncookiesSetting() ?? -1));
});

test('the rows of /proc/net/tcp and tcp6 are read', () => {
  assert.deepEqual(parseTcpTable(TCP), [
    { localPort: 2024, state: LISTEN, receiveQueue: 31, inode: 1590 },
    { localPort: 47_001, state: SYN_RECV, receiveQueue: 0, inode: 0 },
  ]);
  assert.deepEqual(parseTcpTable(TCP6), [{ localPort: 8080, state: LISTEN, receiveQueue: 2, inode: 5589 }]);
});

test('rows that do not read as such are passed over', () => {
  const [header, row] = TCP.split('\n');
  assert.deepEqual(parseTcpTable(''), []);
  assert.deepEqual(parseTcpTable(header!), []);
  const broken = [
    '',
    'nonsense',
    '   0: 00000000:07E8 00000000:0000 0A',
    '   0: 00000000:07E8 00000000:0000 0A 00000000:0000001F',
    row!.replace(':07E8', ':ZZZZ'),
    row!.replace(' 0A ', ' -- '),
    row!.replace(':0000001F', ':????????'),
    row!.replace(' 1590 ', ' inode '),
  ];
  assert.deepEqual(parseTcpTable([header, ...broken, row].join('\n')), [
    { localPort: 2024, state: LISTEN, receiveQueue: 31, inode: 1590 },
  ]);
});

for (const [family, host] of [
  ['IPv4', '127.0.0.1'],
  ['IPv6', '::1'],
] as const) {
  test(`the table shows an ${family} listener with its inode and its queue`, async () => {
    await using loopback = new Loopback();
    const { fd, port } = await loopback.startListener({ host });
    loopback.connectWhileBlocked({ host, port }, 3);
    const rows = readTcpTable(family).filter((row) => row.localPort === port && row.state === LISTEN);
    assert.deepEqual(rows, [{ localPort: port, state: LISTEN, receiveQueue: 3, inode: inodeOf(fd) }]);
  });

  test(`the table shows the half-open ${family} connections`, async () => {
    await using loopback = new Loopback();
    const { port } = await loopback.startDeferredListener({ host });
    const halfOpen = () => readTcpTable(family).filter((row) => row.localPort === port && row.state === SYN_RECV);
    assert.equal(halfOpen().length, 0);
    for (let count = 0; count < 4; count++) await loopback.connect({ host, port });
    assert.equal(halfOpen().length, 4);
  });
}
