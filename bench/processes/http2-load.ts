import { once } from 'node:events';
import http2 from 'node:http2';

const SESSIONS = 8;
/** Streams at a time in each session. */
const STREAMS = 4;

/** Asks for so many responses over a few sessions, and returns how many came. Rejects if one does not. */
export async function loadHttp2(port: number, requests: number): Promise<number> {
  const sessions = Array.from({ length: SESSIONS }, () => http2.connect(`http://127.0.0.1:${port}`));
  const perStream = Math.ceil(requests / (SESSIONS * STREAMS));
  const lanes = sessions.flatMap((session) => Array.from({ length: STREAMS }, () => askInTurn(session, perStream)));
  await Promise.all(lanes);
  await Promise.all(
    sessions.map(async (session) => {
      session.close();
      await once(session, 'close');
    }),
  );
  return perStream * lanes.length;
}

async function askInTurn(session: http2.ClientHttp2Session, requests: number): Promise<void> {
  for (let request = 0; request < requests; request++) {
    const stream = session.request();
    stream.resume();
    // Rejects on 'error'.
    await once(stream, 'close');
  }
}
