// NestJS that loses no client at a deploy. Run `node server.js`, then send SIGTERM. Plain JavaScript calls decorators
// as functions. TypeScript writes them with @, and nothing else changes.
import { Readable } from 'node:stream';
import { setTimeout } from 'node:timers/promises';
import { Body, Controller, Get, Module, Post, StreamableFile } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { lastCall } from 'lastcall';

class OrdersController {
  hello() {
    return 'hello\n';
  }

  async slow() {
    await setTimeout(1_000);
    return 'done\n';
  }

  order(orders) {
    return { accepted: orders.length };
  }

  export() {
    return new StreamableFile(Readable.from(rows(), { objectMode: false }));
  }
}

Controller()(OrdersController);
decorate('hello', Get());
decorate('slow', Get('slow'));
decorate('order', Post('orders'));
Body()(OrdersController.prototype, 'order', 0);
decorate('export', Get('export'));

class AppModule {
  /** app.close() calls this when no request is left. Close the database pool here. */
  onModuleDestroy() {}
}

Module({ controllers: [OrdersController] })(AppModule);

const app = await NestFactory.create(AppModule, { logger: ['error', 'warn'] });
await app.listen(process.env.PORT ?? 8080);
// Nest's own hooks run when no client is left.
lastCall(app.getHttpServer(), { onDrained: () => app.close() });

function decorate(method, decorator) {
  const { prototype } = OrdersController;
  decorator(prototype, method, Object.getOwnPropertyDescriptor(prototype, method));
}

/** A megabyte, 16 KiB at a time. */
async function* rows() {
  for (let row = 0; row < 64; row += 1) {
    await setTimeout(10);
    yield `${row}`.padEnd(16_383).concat('\n');
  }
}
