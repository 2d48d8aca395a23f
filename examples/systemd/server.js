// A service under systemd. systemd keeps its socket, so that a restart loses no client. The two units beside this file
// start it. Without them it listens at PORT.
import http from 'node:http';
import { inheritedListener, lastCall } from 'lastcall';

const server = http.createServer((request, response) => response.end('hello\n'));

server.listen(inheritedListener('web') ?? process.env.PORT ?? 8080);
lastCall(server);
