// A chat room over WebSocket: every client gets every message. When the server stops, each client gets the earlier
// messages and then 1012 (service restart). The server waits for its answer.
//
//   PORT=8080 node examples/websocket/server.js
import http from 'node:http';
import { lastCall } from 'lastcall';
import { WebSocket, WebSocketServer } from 'ws';

const server = http.createServer((_, response) => response.end('a chat room: connect by WebSocket\n'));
const webSockets = new WebSocketServer({ server });

webSockets.on('connection', (socket) => {
  socket.on('error', () => socket.terminate());
  socket.on('message', (words, binary) => {
    for (const client of webSockets.clients) {
      if (client.readyState === WebSocket.OPEN) client.send(words, { binary });
    }
  });
});

server.listen(Number(process.env.PORT ?? 8080), '127.0.0.1', () => {
  console.log(`listening on ${server.address().port}`);
});

lastCall(server, {
  webSockets,
  webSocketClose: { code: 1012, reason: 'back in a moment' },
  onDrained: (report) => console.log('closed', JSON.stringify({ report })),
});
