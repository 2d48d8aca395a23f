import { CHANNEL_CONTENDERS, type ChannelContender } from './channel-contenders.ts';

// The clients of one round: node channel-clients.js CONTENDER PORT CONNECTIONS AT-ONCE BYTES MILLISECONDS. Each connection has so
// many requests under way at once. Says requests per second, and their 99th percentile in microseconds.
const [name = '', ...numbers] = process.argv.slice(2);
const [port = 0, connections = 1, atOnce = 1, length = 0, milliseconds = 0] = numbers.map(Number);

// Until what is compiled is, in milliseconds.
const WARM_UP = 700;

const { connect } = CHANNEL_CONTENDERS[name as ChannelContender];
const clients = await Promise.all(Array.from({ length: connections }, () => connect(port)));
const payload = Buffer.alloc(length, 1);
// Room for all of them from the start: one that grows would be a part of what it measures.
const latencies = new Float64Array(4_000_000);
let measured = 0;

async function askUntil(end: number, isMeasured: boolean): Promise<void> {
  const lanes = clients.flatMap((client) =>
    Array.from({ length: atOnce }, async () => {
      for (let began = performance.now(); began < end; ) {
        const replied = await client.ask(payload);
        if (replied !== length) throw new Error(`A reply of ${replied} bytes to ${length}`);
        const now = performance.now();
        if (isMeasured) latencies[measured++] = now - began;
        began = now;
      }
    }),
  );
  await Promise.all(lanes);
}

await askUntil(performance.now() + WARM_UP, false);
const began = performance.now();
await askUntil(began + milliseconds, true);
const seconds = (performance.now() - began) / 1_000;
const sorted = latencies.subarray(0, measured).sort();
const p99 = (sorted[Math.floor(sorted.length * 0.99)] ?? 0) * 1_000;
process.stdout.write(`${JSON.stringify({ perSecond: measured / seconds, p99 })}\n`);
for (const client of clients) client.close();
process.exit(0);
