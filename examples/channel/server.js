// A counter that clients add to, over a channel. During a restart no addition is lost, and none is made twice.
//
//   PORT=7008 node examples/channel/server.js        and then: PORT=7008 node examples/channel/client.js
import net from 'node:net';
import { lastCall } from 'lastcall';
import { serveChannel } from 'lastcall/channel';

let total = 0;

const server = net.createServer();
serveChannel(
  server,
  async (request) => {
    const amount = await request.bytes();
    total += Number(Buffer.from(amount).toString());
    return Buffer.from(String(total));
  },
  { onError: (error, peer) => console.error(peer.remote, error) },
);

server.listen(Number(process.env.PORT ?? 7008), '127.0.0.1', () => {
  console.log(`listening on ${server.address().port}`);
});

lastCall(server, {
  onDrained: (report) => console.log('closed', JSON.stringify({ report, total })),
});
