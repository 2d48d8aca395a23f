// A service for the Deployment beside this file. Probes have a separate port.
import http from 'node:http';
import { lastCall } from 'lastcall';

const { PORT = '8080', PROBES_PORT = '9090' } = process.env;

const server = http.createServer((request, response) => response.end('hello\n'));

server.listen(Number(PORT));
lastCall(server, { readinessServer: Number(PROBES_PORT) });
