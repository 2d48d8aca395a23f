import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { GONG } from '../processes/messages.ts';

// Starts a measured server with a message channel, as a process manager does that serves nobody itself: node launcher.js CONTENDER.
const child = fork(fileURLToPath(new URL('./server.js', import.meta.url)), process.argv.slice(2), {
  stdio: ['inherit', 'inherit', 'inherit', GONG, 'ipc'],
});
child.once('exit', (code) => process.exit(code ?? 1));
