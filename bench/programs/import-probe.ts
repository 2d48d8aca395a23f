import { once } from 'node:events';
import http from 'node:http';
import type { ImportProbe } from '../parts/imports.ts';

// Imports one module in a fresh process and says what it took: node import-probe.js MODULE. The module `none` is none.
const [, , name = 'none'] = process.argv;

const server = http.createServer();
const rssBefore = process.memoryUsage.rss();
const began = performance.now();
if (name !== 'none') await import(name);
const time = performance.now() - began;
const rssImported = process.memoryUsage.rss();

server.listen(0, '127.0.0.1');
await once(server, 'listening');
const probe: ImportProbe = {
  time,
  memory: (rssImported - rssBefore) / 1024,
  untilListening: performance.now() - began,
  memoryListening: (process.memoryUsage.rss() - rssBefore) / 1024,
};
process.stdout.write(`${JSON.stringify(probe)}\n`);
server.close();
