import { SO_ATTACH_FILTER, SO_DETACH_FILTER, SOL_SOCKET } from './constants.ts';
import { requireLibc } from './libc.ts';
import { setIntOption, writeOption } from './sockets.ts';

/** One instruction of classic BPF (struct sock_filter, linux/filter.h): code u16, jt u8, jf u8, k u32. */
type Instruction = readonly [code: number, whenTrue: number, whenFalse: number, operand: number];

// linux/bpf_common.h: BPF_LD|BPF_B|BPF_ABS, BPF_ALU|BPF_AND|BPF_K, BPF_JMP|BPF_JEQ|BPF_K, BPF_RET|BPF_K.
const LOAD_BYTE = 0x30;
const AND = 0x54;
const JUMP_IF_EQUAL = 0x15;
const RETURN = 0x06;

// Byte 13 of the TCP header holds the flags (RFC 9293 3.1); the filter sees the packet from there on.
const FLAGS_BYTE = 13;
const SYN = 0x02;
const SYN_AND_ACK = 0x12;

/** Drops SYNs and passes everything else. The mask ignores the ECN bits: an ECN SYN has flags 0xc2 (RFC 3168 6.1.1). */
const DROP_SYNS: readonly Instruction[] = [
  [LOAD_BYTE, 0, 0, FLAGS_BYTE],
  [AND, 0, 0, SYN_AND_ACK],
  [JUMP_IF_EQUAL, 0, 1, SYN],
  [RETURN, 0, 0, 0],
  [RETURN, 0, 0, 0xffffffff],
];

/** Attaches a filter that drops new SYNs to a listener (socket(7), SO_ATTACH_FILTER). Throws EPERM if the kernel requires CAP_NET_ADMIN. */
export function attachSynFilter(fd: number): void {
  const libc = requireLibc();
  const filter = encodeFilter(DROP_SYNS);
  // struct sock_fprog: len u16, then, aligned as a pointer, the address of the instructions.
  const program = Buffer.alloc(libc.pointerSize * 2);
  program.writeUInt16LE(DROP_SYNS.length, 0);
  const address = libc.address(filter);
  if (libc.pointerSize === 8) program.writeBigUInt64LE(address, 8);
  else program.writeUInt32LE(Number(address), 4);
  writeOption(fd, SOL_SOCKET, SO_ATTACH_FILTER, program);
  // The kernel has copied the filter. This last use keeps it from being collected before.
  filter.fill(0);
}

/** Detaches the filter (SO_DETACH_FILTER); an accepted socket inherits it from its listener. Throws ENOENT if there is none. */
export function detachFilter(fd: number): void {
  setIntOption(fd, SOL_SOCKET, SO_DETACH_FILTER, 0);
}

function encodeFilter(instructions: readonly Instruction[]): Buffer {
  const bytes = Buffer.alloc(instructions.length * 8);
  for (const [index, [code, whenTrue, whenFalse, operand]] of instructions.entries()) {
    bytes.writeUInt16LE(code, index * 8);
    bytes.writeUInt8(whenTrue, index * 8 + 2);
    bytes.writeUInt8(whenFalse, index * 8 + 3);
    bytes.writeUInt32LE(operand, index * 8 + 4);
  }
  return bytes;
}
