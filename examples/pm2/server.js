// A service that does not use lastcall itself. ecosystem.config.cjs beside this file makes pm2 load lastcall.
import http from 'node:http';

const server = http.createServer((request, response) => response.end('hello\n'));

server.listen(process.env.PORT ?? 8080);
