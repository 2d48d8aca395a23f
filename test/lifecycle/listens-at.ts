import { readTcpTable } from '../../src/linux/tables/proc-net.ts';
import { until } from '../harness/wait.ts';

// net/tcp_states.h
const LISTEN = 10;

/** Waits until a process listens at the port, of IPv4 or of both. Makes no connection, which would start a service that waits for one. */
export async function listensAt(port: number): Promise<void> {
  const listens = (family: 'IPv4' | 'IPv6'): boolean =>
    readTcpTable(family).some((row) => row.localPort === port && row.state === LISTEN);
  await until(`a process listens at ${port}`, () => listens('IPv4') || listens('IPv6'));
}
