import net from 'node:net';
import type { AgentEvent, AgentOrder, ConnectOptions } from './agent-messages.ts';

// A scripted TCP client: does what the test orders over the IPC channel and tells what came of it. Errors are news, never exceptions.

const sockets = new Map<number, net.Socket>();

process.on('message', (order: AgentOrder) => {
  if (order.order === 'connect') return connect(order.id, order.options);
  const socket = sockets.get(order.id);
  if (socket === undefined) return;
  if (order.order === 'send') socket.write(order.bytes, 'latin1');
  else if (order.order === 'end') socket.end();
  else socket.resetAndDestroy();
});
process.on('disconnect', () => process.exit());

function connect(id: number, { send, ...options }: ConnectOptions): void {
  const target = 'path' in options ? { path: options.path } : { ...options, autoSelectFamily: false };
  const socket = net.connect({ ...target, allowHalfOpen: options.halfOpen ?? false });
  let ended = 'closed here';
  sockets.set(id, socket);
  socket.on('connect', () => {
    tell({ event: 'connected', id });
    if (send !== undefined) socket.write(send, 'latin1');
  });
  socket.on('data', (bytes) => tell({ event: 'received', id, bytes: bytes.toString('latin1') }));
  socket.on('end', () => {
    ended = 'EOF';
    tell({ event: 'EOF', id });
  });
  socket.on('error', (error: NodeJS.ErrnoException) => {
    ended = error.code ?? error.message;
  });
  socket.on('close', () => {
    sockets.delete(id);
    tell({ event: 'closed', id, ended });
  });
}

function tell(event: AgentEvent): void {
  if (process.connected) process.send?.(event);
}
