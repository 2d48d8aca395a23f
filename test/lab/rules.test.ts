import assert from 'node:assert/strict';
import { test } from 'node:test';
import { buildPacket } from './build-packet.ts';
import { ACK, FIN, RST, SYN } from './packet.ts';
import type { Direction, PacketSeen, Rule } from './rule.ts';
import { type Packet, Rules, type Verdict } from './rules.ts';

const CLIENT = 10_000;
const SERVER = 80;

interface Scene {
  readonly rules: Rules<Packet>;
  readonly acted: { readonly id: number; readonly packet: PacketSeen }[];
  readonly pass: (direction: Direction, flags: number, payload?: string, client?: number) => Verdict;
}

function scene(...made: Rule[]): Scene {
  const acted: { id: number; packet: PacketSeen }[] = [];
  const rules = new Rules<Packet>((id, packet) => acted.push({ id, packet }));
  made.forEach((rule, id) => rules.add(id, rule));
  return {
    rules,
    acted,
    pass: (direction, flags, payload = '', client = CLIENT) => {
      const [source, destination] = direction === 'to server' ? [client, SERVER] : [SERVER, client];
      const bytes = buildPacket({ source, destination, flags, payload });
      return rules.judge(direction, { bytes, length: bytes.length });
    },
  };
}

test('a rule acts on packets of its direction and kind alone', () => {
  const { pass } = scene({ direction: 'to server', packet: 'SYN', action: 'drop', count: Infinity });
  assert.equal(pass('to server', SYN), 'drop');
  assert.equal(pass('to server', SYN | 0xc0), 'drop', 'a SYN that asks for ECN');
  assert.equal(pass('to client', SYN), 'as usual');
  assert.equal(pass('to client', SYN | ACK), 'as usual');
  assert.equal(pass('to server', ACK), 'as usual');
});

test('every kind of packet is told from the others', () => {
  const { pass, acted } = scene({ direction: 'to server', packet: 'any', action: 'report', count: Infinity });
  pass('to server', SYN);
  pass('to server', SYN | ACK);
  pass('to server', ACK);
  pass('to server', ACK, 'data');
  pass('to server', ACK | FIN, 'data');
  pass('to server', ACK | RST);
  pass('to client', SYN | ACK);
  pass('to server', ACK);
  pass('to server', 0);
  const kinds = ['SYN', 'SYN-ACK', 'ACK', 'data', 'FIN', 'RST', 'final ACK', 'any'];
  assert.deepEqual(
    acted.map(({ packet }) => packet.packet),
    kinds,
  );
});

test('a FIN that carries data is both', () => {
  const kinds = ['FIN', 'data'] as const;
  const { pass, acted } = scene(
    ...kinds.map((packet) => ({ direction: 'to client', packet, action: 'report' }) as const),
  );
  assert.equal(pass('to client', ACK | FIN, 'last'), 'spared');
  assert.deepEqual(
    acted.map(({ id }) => id),
    [0, 1],
  );
});

test('only the n-th match and so many after it are acted on', () => {
  const { pass } = scene({ direction: 'to server', packet: 'data', action: 'drop', from: 2, count: 2 });
  const verdicts = ['a', 'b', 'c', 'd'].map((payload) => pass('to server', ACK, payload));
  assert.deepEqual(verdicts, ['as usual', 'drop', 'drop', 'as usual']);
});

test('ports and payload narrow a rule', () => {
  const rule = { direction: 'to server', packet: 'any', action: 'drop', count: Infinity } as const;
  const { pass } = scene({ ...rule, clientPort: 5 }, { ...rule, payload: 'bye\xff' });
  assert.equal(pass('to server', ACK, '', 5), 'drop');
  assert.equal(pass('to server', ACK, '', 6), 'as usual');
  assert.equal(pass('to server', ACK, 'good bye\xff!', 6), 'drop');
  assert.equal(scene({ ...rule, serverPort: SERVER + 1 }).pass('to server', ACK), 'as usual');
  assert.equal(scene({ ...rule, serverPort: SERVER }).pass('to server', ACK), 'drop');
});

test('a report says what passed', () => {
  const { pass, acted } = scene({ direction: 'to client', packet: 'data', action: 'report' });
  pass('to client', ACK, 'hello');
  const packet = {
    direction: 'to client',
    packet: 'data',
    clientPort: CLIENT,
    serverPort: SERVER,
    flags: ACK,
    length: 45,
    payload: 5,
  };
  assert.deepEqual(acted, [{ id: 0, packet }]);
});

test('what a rule holds is given back in order, once, and the rule goes on', () => {
  const { rules, pass } = scene({ direction: 'to server', packet: 'data', action: 'hold', count: 3 });
  assert.equal(pass('to server', ACK, 'a'), 'hold');
  assert.equal(pass('to server', ACK, 'bc'), 'hold');
  assert.equal(rules.countHeld('to server'), 2);
  assert.equal(rules.countHeld('to client'), 0);
  assert.deepEqual(
    rules.takeHeld(0).packets.map(({ length }) => length),
    [41, 42],
  );
  assert.deepEqual(rules.takeHeld(0).packets, []);
  assert.equal(pass('to server', ACK, 'd'), 'hold');
  assert.equal(rules.remove(0).packets.length, 1);
  assert.equal(pass('to server', ACK, 'e'), 'as usual');
  assert.throws(() => rules.takeHeld(0), /Expected a rule in force/);
});

test('the first rule that drops or holds a packet has it, the later ones do not see it', () => {
  const rule = { direction: 'to server', packet: 'data' } as const;
  const { pass, acted } = scene(
    { ...rule, action: 'report' },
    { ...rule, action: 'drop' },
    { ...rule, action: 'hold' },
  );
  assert.equal(pass('to server', ACK, 'a'), 'drop');
  assert.equal(pass('to server', ACK, 'b'), 'hold');
  assert.deepEqual(
    acted.map(({ id }) => id),
    [0, 1, 2],
  );
});

test('what is not TCP passes every rule', () => {
  const { rules } = scene({ direction: 'to server', packet: 'any', action: 'drop', count: Infinity });
  assert.equal(rules.judge('to server', { bytes: Buffer.alloc(60), length: 60 }), 'as usual');
});
