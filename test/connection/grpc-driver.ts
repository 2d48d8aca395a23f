// The test's side of the fixtures connection/grpc.
import type { GrpcClientsOrder, GrpcClientsSends, GrpcLoad } from '../fixtures/connection/grpc/grpc-clients.ts';
import type { GrpcServerOrder, GrpcServerSends } from '../fixtures/connection/grpc/grpc-server.ts';
import { startFixture, type TestProcess } from '../harness/processes.ts';
import type { Scope } from '../harness/scope.ts';

/** A key and its certificate, for TLS; neither for cleartext. */
export interface Pem {
  readonly key?: string;
  readonly cert?: string;
}

/** A fixture that obeys orders of one type. */
export type GrpcServer = Orderable<TestProcess<GrpcServerSends>, GrpcServerOrder>;
export type GrpcClients = Orderable<TestProcess<GrpcClientsSends>, GrpcClientsOrder>;
type Orderable<P extends TestProcess, Order> = Pick<P, 'next' | 'ended'> & { send(order: Order): void };

/** A server whose only client has calls of every kind under way, and begins others until it is told that the server goes. */
export async function startGrpc(scope: Scope, pem: Pem): Promise<{ server: GrpcServer; clients: GrpcClients }> {
  const { server, address } = await startServer(scope, pem);
  const clients = await startClients(scope, { ...loadOf(pem), address, until: 'the first goodbye' }, 100);
  return { server, clients };
}

/** Two servers, both called in turn by one client. */
export async function startTwoGrpc(scope: Scope, pem: Pem): Promise<{ first: GrpcServer; clients: GrpcClients }> {
  const [first, second] = await Promise.all([startServer(scope, pem), startServer(scope, pem)]);
  const address = `ipv4:${first.address},${second.address}`;
  const clients = await startClients(scope, { ...loadOf(pem), address, until: 'the order' }, 160);
  return { first: first.server, clients };
}

/** Calls of which many are under way at any time. */
function loadOf({ cert }: Pem): Pick<GrpcLoad, 'callsOfEach' | 'lasting' | 'cert'> {
  return { callsOfEach: 20, lasting: 200, ...(cert === undefined ? {} : { cert }) };
}

async function startServer(scope: Scope, pem: Pem): Promise<{ server: GrpcServer; address: string }> {
  const server = scope.use(
    startFixture<GrpcServerSends>('connection/grpc/grpc-server', { args: [JSON.stringify(pem)] }),
  );
  return { server, address: `127.0.0.1:${await server.next('port')}` };
}

async function startClients(scope: Scope, load: GrpcLoad, enough: number): Promise<GrpcClients> {
  const clients: GrpcClients = scope.use(startFixture<GrpcClientsSends>('connection/grpc/grpc-clients'));
  clients.send({ load, enough });
  await clients.next('enough');
  return clients;
}
