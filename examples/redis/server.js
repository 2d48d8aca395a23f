// A small Redis server that sends its clients to its successor. Some clients understand MOVING; node-redis does by
// default. They finish the commands that are under way, go on at the successor and end their connection. No command
// fails, whatever the load. Other clients get no message. They are served until they have been quiet for 2 s. A client
// that waits in BLPOP is quiet too, but it gets its answer first.
//
//   PORT=6379 SUCCESSOR=127.0.0.1:6380 node examples/redis/server.js
import net from 'node:net';
import { lastCall } from 'lastcall';
import { Client, letNobodyWait } from './commands.js';
import { bulk, error, integer, push, takeCommands } from './resp.js';

const { PORT = '6379', SUCCESSOR } = process.env;
// The time that a client may take, in seconds. MOVING carries it.
const GRACE = 10;

const clients = new WeakMap();

const server = net.createServer((socket) => {
  const client = new Client((reply) => socket.writable && socket.write(reply));
  clients.set(socket, client);
  let unfinished = Buffer.alloc(0);
  socket.on('data', (bytes) => {
    try {
      const { commands, rest } = takeCommands(Buffer.concat([unfinished, bytes]));
      unfinished = rest;
      client.hear(commands);
    } catch (cause) {
      socket.end(error(cause.message));
    }
  });
  socket.on('error', () => socket.destroy());
  socket.on('close', () => client.stopWaiting());
});

server.listen(Number(PORT), '127.0.0.1', () => {
  console.log(`listening on ${server.address().port}`);
});

lastCall(server, {
  onLameDuck: letNobodyWait,
  onDrain: ({ socket }) => clients.get(socket)?.stopWaiting(),
  // The client's answer is that it ends the connection.
  farewell: { say: sayMoving },
  onDrained: (report) => console.log('closed', JSON.stringify({ report })),
});

function sayMoving(socket) {
  if (SUCCESSOR === undefined || !clients.get(socket)?.hearsOfMoves) return undefined;
  return Buffer.from(push([bulk('MOVING'), integer(1), integer(GRACE), bulk(SUCCESSOR)]));
}
