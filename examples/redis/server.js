// A small Redis server that tells its clients where to go. Those that understand MOVING, as node-redis does without being
// told to, finish the commands that are under way, go on at the successor and end their connection: no command fails,
// whatever the load. To others nothing is said: they are served until they have been quiet for 2 s. Who waits in BLPOP is
// quiet, too, but is owed an answer, and gets it first.
//
//   PORT=6379 SUCCESSOR=127.0.0.1:6380 node examples/redis/server.js
import net from 'node:net';
import { lastCall } from 'lastcall';
import { Client, letNobodyWait } from './commands.js';
import { bulk, error, integer, push, takeCommands } from './resp.js';

const { PORT = '6379', SUCCESSOR } = process.env;
// The seconds that a client may take, as it is told.
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
