import { type AppliedRule, type Lab, openLab, type Rule } from '../../lab/lab.ts';
import { LabClient, nextLocalPort } from '../../lab/lab-client.ts';
import type { LabConnection } from '../../lab/lab-connection.ts';
import { CloseServer } from './close-server.ts';
import type { CloseServerSetup, How } from './close-server-messages.ts';

/** What the fixture answers. */
export const SERVED = { received: 'served\n', ended: 'EOF' };
/** A client that was connected, and lost. */
export const RESET = { received: '', ended: 'ECONNRESET' };
export const REFUSED = { received: '', ended: 'ECONNREFUSED' };

/** A server that is about to be closed, a client, and the wire between them. */
export interface Scene {
  readonly lab: Lab;
  readonly client: LabClient;
  readonly server: CloseServer;
  readonly host: string;
  readonly port: number;
  readonly how: How;
}

/** A client whose place in its handshake is known, and what goes on with it once the gate is shut. */
export interface Placed {
  readonly connection: LabConnection;
  readonly goOn: () => Promise<void>;
}

export const NOTHING_MORE: Placed['goOn'] = () => Promise.resolve();

let lastPort = 8_080;

/** A server port that no scene of this test process was given yet. */
export function nextServerPort(): number {
  lastPort += 1;
  return lastPort;
}

/** Opens a lab of 10 ms one way with a client in it. The test's own signal closes it when the test's time is up, so that nothing waits for ever. */
export async function openScenery(signal: AbortSignal): Promise<{ lab: Lab; client: LabClient } & AsyncDisposable> {
  const lab = await openLab({ delay: 10 });
  signal.addEventListener('abort', () => void lab.close());
  const client = await LabClient.start(lab.client);
  return { lab, client, [Symbol.asyncDispose]: lab.close };
}

/** Starts a server in the lab, on a port of its own. */
export async function openScene(
  { lab, client }: { readonly lab: Lab; readonly client: LabClient },
  how: How,
  { listen, ...setup }: Partial<CloseServerSetup> = {},
  user: { readonly uid?: number; readonly gid?: number } = {},
): Promise<Scene> {
  const port = listen?.port ?? nextServerPort();
  const server = await CloseServer.start(lab.server, { ...setup, listen: { host: '0.0.0.0', ...listen, port } }, user);
  const host = listen?.host === '::' || listen?.host?.includes(':') === true ? lab.server.ipv6 : lab.server.ipv4;
  return { lab, client, server, host, port, how };
}

/** Begins to connect; what is left out is the scene's. */
export function connect(
  { client, host, port }: Scene,
  options: { readonly localPort?: number; readonly send?: string; readonly host?: string } = {},
): LabConnection {
  return client.connect({ host, port, ...options });
}

/** Makes a rule for one client to be. */
export async function ruleForNext({ lab }: Scene, rule: Rule): Promise<{ rule: AppliedRule; localPort: number }> {
  const localPort = nextLocalPort();
  return { rule: await lab.wire.rule({ ...rule, clientPort: localPort }), localPort };
}

/** Resolves once the packet that the rule reports has arrived. */
export async function arrived({ lab }: Scene, rule: AppliedRule): Promise<void> {
  await rule.next();
  // The report comes before the packet arrives, the stats after.
  await lab.wire.stats();
}
