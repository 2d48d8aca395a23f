import { setTimeout as sleep } from 'node:timers/promises';

export default async function application(fastify, _options) {
  fastify.get('/', () => 'hello\n');
  fastify.get('/slow', async () => {
    await sleep(1_000);
    return 'done\n';
  });
}
