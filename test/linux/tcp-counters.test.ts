import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readSysctl } from '../../src/linux/sysctl.ts';
import {
  parseCookieCounters,
  readCookieCounters,
  readCounter,
  readTcpCounters,
} from '../../src/linux/tables/tcp-counters.ts';
import { Loopback } from './loopback.ts';

// Linux 6.18, the columns after the ones of interest left out; the numbers changed so that each is its own.
const NETSTAT = `\
TcpExt: SyncookiesSent SyncookiesRecv SyncookiesFailed EmbryonicRsts PruneCalled ListenOverflows ListenDrops
TcpExt: 41 17 2 3 4 90 91
IpExt: InNoRoutes InTruncatedPkts InMcastPkts
IpExt: 0 0 0
MPTcpExt: MPCapableSYNRX MPCapableSYNTX
MPTcpExt: 0 0
`;

test('a counter is found by its group and its name', () => {
  assert.equal(readCounter(NETSTAT, 'TcpExt', 'ListenOverflows'), 90);
  assert.equal(readCounter(NETSTAT, 'TcpExt', 'ListenDrops'), 91);
  assert.throws(() => readCounter(NETSTAT, 'TcpExt', 'InNoRoutes'), /does not count TcpExtInNoRoutes/);
  assert.throws(() => readCounter(NETSTAT, 'Tcp', 'PassiveOpens'), /does not count TcpPassiveOpens/);
  assert.throws(() => readCounter('TcpExt: A\nTcpExt: much\n', 'TcpExt', 'A'));
});

test('a connection that comes in is counted', async () => {
  await using loopback = new Loopback();
  const before = readTcpCounters();
  const { port } = await loopback.startListener();
  await loopback.connect({ port, host: '127.0.0.1' });
  assert.ok(readTcpCounters().newConnections > before.newConnections);
});

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
  assert([0, 1, 2].includes(readSysctl('net.ipv4.tcp_syncookies') ?? -1));
});
