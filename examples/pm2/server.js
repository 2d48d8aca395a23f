// A service that knows nothing of lastcall: ecosystem.config.cjs beside this file lets pm2 load it.
import http from 'node:http';

const server = http.createServer((request, response) => response.end('hello\n'));

server.listen(process.env.PORT ?? 8080);
