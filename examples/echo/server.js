// A line echo. Its protocol has no farewell, so clients get none. A client that still sends gets its answers. A client
// that has been quiet for 2 s gets the end of the stream, and the server reads on until the client's own end.
//
//   PORT=7007 node examples/echo/server.js        and then: nc 127.0.0.1 7007
import net from 'node:net';
import { createInterface } from 'node:readline';
import { lastCall } from 'lastcall';

const lines = { received: 0, echoed: 0 };

const server = net.createServer((socket) => {
  socket.on('error', () => socket.destroy());
  const reader = createInterface({ input: socket });
  // It repeats the socket's.
  reader.on('error', () => {});
  reader.on('line', (line) => {
    lines.received += 1;
    // A line can still arrive after the end of our side. It cannot be answered.
    if (!socket.writable) return;
    socket.write(`${line}\n`);
    lines.echoed += 1;
  });
});

server.listen(Number(process.env.PORT ?? 7007), '127.0.0.1', () => {
  console.log(`listening on ${server.address().port}`);
});

lastCall(server, {
  onDrained: (report) => console.log('closed', JSON.stringify({ report, ...lines })),
});
