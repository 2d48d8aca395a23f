import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { startCommand } from '../harness/processes.ts';
import { BODY, CONCURRENCY, type LoadClient, type LoadResult } from './load-client.ts';

const SCRIPT = `
local count = 0
local body = string.rep("x", ${BODY.length})
request = function()
  count = count + 1
  if count % 3 == 0 then return wrk.format("GET") end
  return wrk.format("POST", nil, nil, body)
end
done = function(summary)
  local e = summary.errors
  io.stderr:write(string.format('{"requests":%d,"connect":%d,"read":%d,"write":%d,"status":%d,"timeout":%d}',
    summary.requests, e.connect, e.read, e.write, e.status, e.timeout))
end
`;

/** wrk, told to stop as by Ctrl-C; its errors are of sockets, of time, and statuses from 400 on. */
export const wrk: LoadClient = {
  names: ['wrk'],
  start: (origin, folder) => {
    const script = join(folder, 'wrk.lua');
    writeFileSync(script, SCRIPT);
    const options = ['--threads', '1', '--connections', `${CONCURRENCY}`, '--duration', '300s', '--timeout', '20s'];
    const running = startCommand(['wrk', ...options, '--script', script, `${origin}/wrk`]);
    const finished = running.ended.then(({ stderr }) => ({ wrk: readResult(stderr) }));
    finished.catch(() => {});
    return {
      stop: () => running.signal('SIGINT'),
      finished,
      [Symbol.asyncDispose]: () => running[Symbol.asyncDispose](),
    };
  },
};

function readResult(output: string): LoadResult {
  if (!output.startsWith('{')) throw new Error(`wrk has ended with ${output}`);
  const { requests, ...errors }: Record<string, number> = JSON.parse(output);
  return {
    requests: requests ?? 0,
    errors: Object.entries(errors).flatMap(([kind, count]) => Array.from({ length: count }, () => kind)),
  };
}
