import { setTimeout as sleep } from 'node:timers/promises';
import { Controller, Get, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';

@Controller()
class Greeter {
  @Get()
  hello(): string {
    return 'hello\n';
  }

  @Get('slow')
  async slow(): Promise<string> {
    await sleep(1_000);
    return 'done\n';
  }
}

@Module({ controllers: [Greeter] })
class Application {}

const application = await NestFactory.create(Application, { logger: ['error', 'warn'] });
await application.listen(Number(process.env.PORT ?? 3000), '127.0.0.1');
console.log('listening');
