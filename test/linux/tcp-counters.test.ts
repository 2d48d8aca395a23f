import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readCounter, readTcpCounters } from '../../src/linux/tables/tcp-counters.ts';
import { Loopback } from './loopback.ts';

const NETSTAT = `TcpExt: SyncookiesSent SyncookiesRecv ListenOverflows ListenDrops
TcpExt: 3 1 70 72
IpExt: InNoRoutes InTruncatedPkts
IpExt: 0 0
`;

test('a counter is found by its group and its name', () => {
  assert.equal(readCounter(NETSTAT, 'TcpExt', 'ListenOverflows'), 70);
  assert.equal(readCounter(NETSTAT, 'TcpExt', 'ListenDrops'), 72);
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
