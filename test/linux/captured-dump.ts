import assert from 'node:assert/strict';
import { SOCK_DIAG_BY_FAMILY } from '../../src/linux/constants.ts';
import { decodeDatagram } from '../../src/linux/tables/netlink.ts';

/**
 * Answers of NETLINK_SOCK_DIAG from Linux 6.18 on x86-64, one datagram each, to a request with this sequence number: a listener
 * with TCP_DEFER_ACCEPT, and one silent client from port 47101.
 */
export const CAPTURED_SEQUENCE = 0x01020304;

/** The listener on 127.0.0.1:47001. */
export const HALF_OPEN_IPV4: string =
  '600000001400020004030201424f000002030100b799b7fd7f0000010000000000000000000000007f000001000000000000000000000000' +
  '00000000d515000000000000e00300000000000000000000000000000000000008000f0000000000';

/** The listener on [::1]:47002. */
export const HALF_OPEN_IPV6: string =
  '600000001400020004030201424f00000a030100b79ab7fd0000000000000000000000000000000100000000000000000000000000000001' +
  '00000000d615000000000000e00300000000000000000000000000000000000008000f0000000000';

/** The end of either dump. */
export const DUMP_END = '140000000300020004030201424f000000000000';

/** A Unix listener with inode 749964 and one connection in its accept queue. */
export const UNIX_QUEUE =
  '340000001400000004030201424f000001010a008c710b00d7150000000000000c00040001000000ff0100000500060000000000';
export const UNIX_QUEUE_INODE = 749_964;

/** The answer about a Unix socket that does not exist: NLMSG_ERROR with -ENOENT. */
export const NO_SUCH_SOCKET: string =
  '3c0000000200000004030201424f0000feffffff2800000014000100040302010000000001000000ffffffff0100000010000000ffffffff' +
  'ffffffff';

/** The payload of a captured datagram. */
export function payloadOf(hex: string): Buffer {
  const payloads: Buffer[] = [];
  decodeDatagram(Buffer.from(hex, 'hex'), SOCK_DIAG_BY_FAMILY, CAPTURED_SEQUENCE, (payload) => payloads.push(payload));
  assert.equal(payloads.length, 1);
  return Buffer.from(payloads[0]!);
}
