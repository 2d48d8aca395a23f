// A service under systemd whose socket systemd keeps, so that a restart loses nobody. The two units beside this file start
// it; without them it listens at PORT.
import http from 'node:http';
import { inheritedListener, lastCall } from 'lastcall';

const server = http.createServer((request, response) => response.end('hello\n'));

server.listen(inheritedListener('web') ?? process.env.PORT ?? 8080);
lastCall(server);
