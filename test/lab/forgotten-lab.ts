import { openLab } from './lab.ts';
import { startLabServer } from './start-lab-server.ts';

// Opens a lab with programs on both hosts and leaves it so, for the test that kills this process.

const lab = await openLab();
await startLabServer(lab.server, 8080);
// The shell's child is one that the lab knows nothing of.
lab.client.spawn('sh', ['-c', 'sleep 1000 & exec sleep 1000'], { stdio: 'inherit' });
process.send?.({ namespace: lab.server.namespace });
