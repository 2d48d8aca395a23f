import { suite, test } from 'node:test';
import { takeOrder } from './order.ts';
import { PROGRAM_ORDERS } from './orders-of-programs.ts';

suite('every order of events that the program causes has its documented result', { concurrency: 3 }, () => {
  for (const order of PROGRAM_ORDERS) test(order.event, () => takeOrder(order));
});
