// A mail server that shows its end. A client between two messages gets 421 and sends QUIT. A client in the middle of a
// message finishes it first, and then gets 421.
//
//   PORT=2525 node examples/smtp/server.js
import net from 'node:net';
import { lastCall } from 'lastcall';
import { Session } from './session.js';

const sessions = new WeakMap();
let accepted = 0;

const server = net.createServer((socket) => {
  const session = new Session((reply) => socket.writable && socket.write(reply));
  sessions.set(socket, session);
  session.onMessage = () => {
    accepted += 1;
  };
  session.onQuit = () => socket.end();
  socket.on('data', (bytes) => session.hear(bytes));
  socket.on('error', () => socket.destroy());
  socket.on('close', () => session.end());
});

server.listen(Number(process.env.PORT ?? 2525), '127.0.0.1', () => {
  console.log(`listening on ${server.address().port}`);
});

lastCall(server, {
  // The client may pause for any time within the deadline.
  onDrain: ({ socket }) => sessions.get(socket)?.betweenMessages(),
  farewell: {
    // lastcall calls this again while it returns undefined.
    say: (socket) => sessions.get(socket)?.sayGoodbye(),
    answered: (received) => /^QUIT\r?$/im.test(received.toString('latin1')),
  },
  onDrained: (report) => console.log('closed', JSON.stringify({ report, accepted })),
});
