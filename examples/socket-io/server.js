// A socket.io server. When it stops, its clients connect again, over WebSocket or by polling.
//
//   PORT=8080 node examples/socket-io/server.js
import http from 'node:http';
import { lastCall } from 'lastcall';
import { Server } from 'socket.io';

const server = http.createServer();
const io = new Server(server);

io.on('connection', (socket) => {
  socket.on('say', (words, answer) => answer(words));
});

server.listen(Number(process.env.PORT ?? 8080), '127.0.0.1', () => {
  console.log(`listening on ${server.address().port}`);
});

lastCall(server, {
  // A polling request may wait for 25 s. It ends now, and its client connects again.
  onDrain: ({ response }) => {
    const { searchParams } = new URL(response?.req.url ?? '/', 'http://localhost');
    io.engine.clients[searchParams.get('sid')]?.close();
  },
  onDrained: (report) => console.log('closed', JSON.stringify({ report })),
});
