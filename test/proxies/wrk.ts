import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
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
    const options = ['--threads', '1', '--connections', `${CONCURRENCY}`, '--duration', '60s', '--timeout', '20s'];
    const child = spawn('wrk', [...options, '--script', script, `${origin}/wrk`], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    return {
      stop: () => void child.kill('SIGINT'),
      kill: () => void child.kill('SIGKILL'),
      finished: text(child.stderr).then((output) => ({ wrk: readResult(output) })),
    };
  },
};

function readResult(output: string): LoadResult {
  const { requests, ...errors }: Record<string, number> = JSON.parse(output);
  return {
    requests: requests ?? 0,
    errors: Object.entries(errors).flatMap(([kind, count]) => Array.from({ length: count }, () => kind)),
  };
}
