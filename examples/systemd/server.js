// A service under systemd whose socket systemd keeps, so that a restart loses nobody. The two units beside this file start
// it; without them it listens at PORT.
import http from 'node:http';
import { gracefulClose, inheritedListener } from 'lastcall';

const server = http.createServer((request, response) => response.end('hello\n'));

server.listen(inheritedListener('web') ?? process.env.PORT ?? 8080);

process.once('SIGTERM', async () => {
  const { outcome } = await gracefulClose(server);
  console.log(`closed: ${outcome}`);
});
