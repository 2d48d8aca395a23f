import assert from 'node:assert/strict';
import { test } from 'node:test';
import { buildPacket } from './build-packet.ts';
import { Handshakes } from './handshakes.ts';
import { ACK, FIN, parseSegment, SYN } from './packet.ts';
import type { Direction } from './rule.ts';

const CLIENT = 10_000;
const SERVER = 80;

const watched = (): ((direction: Direction, flags: number, payload?: string, client?: number) => boolean) => {
  const handshakes = new Handshakes();
  return (direction, flags, payload = '', client = CLIENT) => {
    const [source, destination] = direction === 'to server' ? [client, SERVER] : [SERVER, client];
    const bytes = buildPacket({ source, destination, flags, payload });
    const segment = parseSegment(bytes, bytes.length);
    assert.ok(segment);
    return handshakes.observe(direction, segment);
  };
};

test('the first bare ACK after a SYN-ACK is the final one, the next is not', () => {
  const observe = watched();
  assert.equal(observe('to server', SYN), false);
  assert.equal(observe('to client', SYN | ACK), false);
  assert.equal(observe('to server', ACK), true);
  assert.equal(observe('to server', ACK), false);
});

test('a SYN-ACK that is sent again has a final ACK again', () => {
  const observe = watched();
  observe('to client', SYN | ACK);
  assert.equal(observe('to server', ACK), true);
  observe('to client', SYN | ACK);
  assert.equal(observe('to server', ACK), true);
});

test('after data or a FIN no ACK is the final one any more', () => {
  for (const [flags, payload] of [
    [ACK, 'data'],
    [ACK | FIN, ''],
  ] as const) {
    const observe = watched();
    observe('to client', SYN | ACK);
    assert.equal(observe('to server', flags, payload), false);
    assert.equal(observe('to server', ACK), false);
  }
});

test('a new SYN on the same ports begins anew', () => {
  const observe = watched();
  observe('to client', SYN | ACK);
  observe('to server', SYN);
  assert.equal(observe('to server', ACK), false);
  observe('to client', SYN | ACK);
  assert.equal(observe('to server', ACK), true);
});

test('flows do not mix', () => {
  const observe = watched();
  observe('to client', SYN | ACK);
  assert.equal(observe('to server', ACK, '', CLIENT + 1), false);
  assert.equal(observe('to server', ACK), true);
});
