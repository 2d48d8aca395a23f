import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { TCP_LISTEN, TCP_SYN_RECV } from '../../src/linux/constants.ts';
import { inodeOf } from '../../src/linux/descriptors.ts';
import {
  addressText,
  findTcpRows,
  parseTcpRow,
  parseTcpTable,
  parseUnixRow,
  readNamespaceTables,
  readTcpRows,
  readTcpRowsAt,
  readTcpTable,
} from '../../src/linux/tables/proc-net.ts';
import { Loopback } from './loopback.ts';

const TCP = `\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode                                                     
   0: 00000000:07E8 00000000:0000 0A 00000000:0000001F 00:00000000 00000000     0        0 1590 1 00000000feac9817 100 0 0 10 0                      
   1: 0100007F:B799 0100007F:B7FD 03 00000000:00000000 01:00000063 00000000     0        0 0 1 0000000000000000                                      
`;

const TCP6 = `\
  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000000000000000000001000000:1F90 00000000000000000000000000000000:0000 0A 00000000:00000002 00:00000000 00000000     0        0 5589 1 00000000a2a5a1b6 100 0 0 10 0
`;

const ANY = { remote: '00000000', remotePort: 0 };
const PEER = { remote: '0100007F', remotePort: 0xb7_fd };

test('the rows of /proc/net/tcp and tcp6 are read', () => {
  assert.deepEqual(parseTcpTable(TCP), [
    {
      local: '00000000',
      localPort: 2024,
      ...ANY,
      state: TCP_LISTEN,
      receiveQueue: 31,
      transmitQueue: 0,
      uid: 0,
      inode: 1590,
    },
    {
      local: '0100007F',
      localPort: 47_001,
      ...PEER,
      state: TCP_SYN_RECV,
      receiveQueue: 0,
      transmitQueue: 0,
      uid: 0,
      inode: 0,
    },
  ]);
  assert.deepEqual(parseTcpTable(TCP6), [
    {
      local: '00000000000000000000000001000000',
      localPort: 8080,
      remote: '00000000000000000000000000000000',
      remotePort: 0,
      state: TCP_LISTEN,
      receiveQueue: 2,
      transmitQueue: 0,
      uid: 0,
      inode: 5589,
    },
  ]);
});

test('rows that do not parse are skipped', () => {
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
    {
      local: '00000000',
      localPort: 2024,
      ...ANY,
      state: TCP_LISTEN,
      receiveQueue: 31,
      transmitQueue: 0,
      uid: 0,
      inode: 1590,
    },
  ]);
});

test('only the rows that have certain characters are parsed', () => {
  const [header = '', listener = '', handshake = ''] = TCP.split('\n');
  const lines = Buffer.from([header, listener, handshake, listener.replace(' 0A ', ' 03 '), ''].join('\n'), 'latin1');
  assert.deepEqual(
    findTcpRows(lines, ' 03 ').map(({ localPort, state }) => ({ localPort, state })),
    [
      { localPort: 47_001, state: TCP_SYN_RECV },
      { localPort: 2024, state: TCP_SYN_RECV },
    ],
  );
  assert.deepEqual(findTcpRows(lines, ':FFFF '), []);
  // The last line may have no end.
  assert.equal(findTcpRows(lines.subarray(0, lines.length - 1), ':07E8 ').length, 2);
});

for (const [family, host] of [
  ['IPv4', '127.0.0.1'],
  ['IPv6', '::1'],
] as const) {
  test(`the table shows an ${family} listener with its inode and its queue`, async () => {
    await using loopback = new Loopback();
    const { fd, port } = await loopback.startListener({ host });
    loopback.connectWhileBlocked({ host, port }, 3);
    const rows = readTcpTable(family).filter((row) => row.localPort === port && row.state === TCP_LISTEN);
    const [{ localPort, receiveQueue, inode } = {}, ...others] = rows;
    assert.deepEqual(
      { localPort, receiveQueue, inode, others },
      { localPort: port, receiveQueue: 3, inode: inodeOf(fd), others: [] },
    );
  });

  test(`the table shows the half-open ${family} connections`, async () => {
    await using loopback = new Loopback();
    const { port } = await loopback.startDeferredListener({ host });
    const halfOpen = () => readTcpTable(family).filter((row) => row.localPort === port && row.state === TCP_SYN_RECV);
    assert.equal(halfOpen().length, 0);
    for (let count = 0; count < 4; count++) await loopback.connect({ host, port });
    assert.equal(halfOpen().length, 4);
    assert.equal(readTcpRows(family, TCP_SYN_RECV).filter((row) => row.localPort === port).length, 4);
    // The listener is one of them.
    assert.ok(readTcpRowsAt(family, port).length >= 5);
  });
}

test('a listener of this namespace is read from /proc, by its inode', async () => {
  await using loopback = new Loopback();
  const listening = await loopback.startListener();
  const found = readNamespaceTables(process.pid).listeners.find(({ inode }) => inode === inodeOf(listening.fd));
  assert.ok(found?.address.family === 'IPv4');
  const { address, port } = found.address;
  assert.deepEqual(
    { address, port, queued: found.queued, limit: found.limit, uid: found.uid },
    { address: '127.0.0.1', port: listening.port, queued: 0, limit: 0, uid: process.getuid?.() },
  );
});

test('rows of IPv4 and of IPv6 are parsed', () => {
  const v4 = parseTcpRow(
    '   1: 0100007F:1F90 00000000:0000 0A 00000000:00000003 00:00000000 00000000  1000 0 4711 1 0',
  );
  assert.deepEqual(v4, {
    local: '0100007F',
    localPort: 8080,
    ...ANY,
    state: TCP_LISTEN,
    receiveQueue: 3,
    transmitQueue: 0,
    uid: 1000,
    inode: 4711,
  });
  assert.equal(addressText(v4.local), '127.0.0.1');
  const v6 = parseTcpRow(
    '  0: 00000000000000000000000001000000:1F90 00000000000000000000000000000000:0000 03 0:0 00:0 0 0 0 12 1 0',
  );
  assert.deepEqual({ address: addressText(v6?.local ?? ''), state: v6?.state }, { address: '::1', state: 3 });
});

test('Unix sockets that listen and have a name are found', () => {
  assert.deepEqual(parseUnixRow('0000: 00000002 00000000 00010000 0001 01 21 /run/an app.sock')?.address, {
    family: 'Unix',
    path: '/run/an app.sock',
  });
  assert.deepEqual(parseUnixRow('0000: 00000002 00000000 00010000 0001 01 22 @name')?.address, {
    family: 'Unix',
    path: '\0name',
  });
  for (const row of [
    '0000: 00000002 00000000 00000000 0001 03 23 /run/x',
    '0000: 2 0 00010000 0002 01 24 /run/x',
    '0000: 2 0 00010000 0001 01 25',
  ])
    assert.equal(parseUnixRow(row), undefined);
});

test('no text makes the parsers throw', () => {
  fc.assert(
    fc.property(fc.string(), (line) => {
      parseTcpRow(line);
      parseUnixRow(line);
    }),
  );
});
