// Adds 1 to the counter 1,000 times within some seconds, 10 at once. Prints how many answers it got.
//
//   PORT=7008 node examples/channel/client.js
import { setTimeout } from 'node:timers/promises';
import { connectChannel } from 'lastcall/channel';

const channel = connectChannel({ host: '127.0.0.1', port: Number(process.env.PORT ?? 7008) });
let added = 0;

async function add() {
  for (let times = 0; times < 100; times++) {
    await channel.request(Buffer.from('1'));
    added += 1;
    if (added % 100 === 0) console.log('added', added);
    await setTimeout(20);
  }
}

await Promise.all(Array.from({ length: 10 }, add));
await channel.close();
