// A program that listens, with so many children that do nothing and have inherited nothing.
import { spawn } from 'node:child_process';
import net from 'node:net';

const children = Array.from({ length: Number(process.argv[2]) }, () => spawn('sleep', ['60'], { stdio: 'ignore' }));
await Promise.all(children.map((child) => new Promise((resolve) => child.once('spawn', resolve))));
process.on('SIGTERM', () => {
  for (const child of children) child.kill();
  process.exit();
});
net.createServer().listen(0, '127.0.0.1', () => process.stdout.write('listening\n'));
