import { CHANNEL_CONTENDERS, type ChannelContender } from './channel-contenders.ts';

// An echo server of the benchmark: node channel-server.js CONTENDER. Says its port; ends with its input.
const contender = process.argv[2] as ChannelContender;
process.stdout.write(`${await CHANNEL_CONTENDERS[contender].serve()}\n`);
process.stdin.resume();
process.stdin.once('end', () => process.exit(0));
