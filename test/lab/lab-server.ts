import net from 'node:net';

// The server of the lab's own tests: sends back what comes, on the port of its first argument, IPv4 and IPv6 alike.

const server = net.createServer((socket) => {
  socket.on('error', () => socket.destroy());
  socket.pipe(socket);
});
process.on('disconnect', () => process.exit());
const port = Number(process.argv[2]);
server.listen({ port, host: '::', backlog: 511 }, () => process.send?.({ listening: port }));
