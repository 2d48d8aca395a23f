import { writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { after } from 'next/server';

export const dynamic = 'force-dynamic';

// Its work is done a second after the response has ended. AFTER_FILE shows it.
export async function GET() {
  after(async () => {
    await sleep(1_000);
    writeFileSync(process.env.AFTER_FILE, 'done');
  });
  return new Response('answered\n');
}
