// A gRPC server. grpc-js keeps its HTTP/2 server private. 'all' stops every server that listens. Import lastcall before
// the server listens.
//
//   PORT=50051 node examples/grpc/server.js
import { setTimeout as sleep } from 'node:timers/promises';
import grpc from '@grpc/grpc-js';
import { lastCall } from 'lastcall';
import { greeter } from './greeter.js';

const server = new grpc.Server();

server.addService(greeter, {
  sayHello(call, answer) {
    answer(null, { message: `Hello, ${call.request.name}` });
  },
  async sayHelloOften(call) {
    for (let time = 1; time <= call.request.times && !call.cancelled; time += 1) {
      call.write({ message: `Hello, ${call.request.name}, for the ${time}. time` });
      await sleep(100);
    }
    call.end();
  },
});

const address = `127.0.0.1:${process.env.PORT ?? 50051}`;
server.bindAsync(address, grpc.ServerCredentials.createInsecure(), (error, port) => {
  if (error !== null) throw error;
  console.log(`listening on ${port}`);
});

lastCall('all', {
  onDrained: (report) => console.log('closed', JSON.stringify({ report })),
});
