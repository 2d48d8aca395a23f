import assert from 'node:assert/strict';
import { test } from 'node:test';
import { shareLost } from '../../src/linux/losses.ts';
import { parseLossCounters } from '../../src/linux/tables/tcp-counters.ts';

const SNMP = `\
Tcp: RtoAlgorithm ActiveOpens PassiveOpens OutSegs RetransSegs
Tcp: 1 20 700 9000 60
`;
const NETSTAT = `\
TcpExt: SyncookiesSent ListenOverflows TCPSynRetrans TCPOrigDataSent
TcpExt: 0 5 40 2000
`;

test('lost segments are counted without SYNs, and repeated SYN-ACKs without those of a full queue', () => {
  assert.deepEqual(parseLossCounters(SNMP, NETSTAT), {
    segments: 2_000,
    repeated: 20,
    handshakes: 720,
    repeatedHandshakes: 35,
  });
  assert.throws(() => parseLossCounters(SNMP, 'TcpExt: A\nTcpExt: 1\n'), /does not count TcpExtTCPSynRetrans/);
});

const CLEAN = { segments: 100_000, repeated: 0, handshakes: 10_000, repeatedHandshakes: 0 };

for (const { what, counters, least, most } of [
  { what: 'a host that has sent nothing', counters: { ...CLEAN, segments: 0, handshakes: 0 }, least: 0, most: 0 },
  { what: 'a clean path', counters: CLEAN, least: 0, most: 0 },
  { what: 'one loss in a hundred', counters: { ...CLEAN, repeated: 1_000 }, least: 0.009, most: 0.01 },
  {
    what: 'SYN-ACKs lost on the way to the clients, beside a clean database',
    counters: { ...CLEAN, repeated: 200, repeatedHandshakes: 500 },
    least: 0.01,
    most: 0.05,
  },
  { what: 'a SYN flood', counters: { ...CLEAN, repeatedHandshakes: 50_000 }, least: 0, most: 0.0002 },
  {
    what: 'one repeated SYN-ACK on a host that has just come up',
    counters: { segments: 2, repeated: 0, handshakes: 2, repeatedHandshakes: 1 },
    least: 0.003,
    most: 0.004,
  },
  { what: 'an accept queue that was full', counters: { ...CLEAN, repeatedHandshakes: -3 }, least: 0, most: 0 },
]) {
  test(`the share of losses: ${what}`, () => {
    const share = shareLost(counters);
    assert.ok(share >= least && share <= most, `${share}`);
  });
}
