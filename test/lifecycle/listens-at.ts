import { readTcpTable } from '../../src/linux/tables/proc-net.ts';
import { until } from '../harness/wait.ts';

// net/tcp_states.h
const LISTEN = 10;

/** Waits until somebody listens at the port of IPv4 or of both, without a connection, which would start what waits for one. */
export async function listensAt(port: number): Promise<void> {
  const listens = (family: 'IPv4' | 'IPv6'): boolean =>
    readTcpTable(family).some((row) => row.localPort === port && row.state === LISTEN);
  await until(`somebody listens at ${port}`, () => listens('IPv4') || listens('IPv6'));
}
