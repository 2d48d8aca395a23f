/** Whether the whole suite runs (`npm run test:full`): then each test has its full count of stops, closes or schedules. */
export const isFull: boolean = process.env.LASTCALL_FULL === '1';

/** How many: `full` in the whole suite, else a `few`, default three. */
export function count(full: number, few = 3): number {
  return isFull ? full : few;
}
