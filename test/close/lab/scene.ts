import { type AppliedRule, type Lab, openLab, type Rule } from '../../lab/lab.ts';
import { LabClient, nextLocalPort } from '../../lab/lab-client.ts';
import type { LabConnection } from '../../lab/lab-connection.ts';
import { CloseServer, type User } from './close-server-driver.ts';
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

/** How long a test with a lab may take, in milliseconds; the lab is closed a little earlier. */
export const LAB_TIMEOUT = 120_000;
const LAB_LIMIT = 110_000;

/** A lab with a client in it. */
export interface Scenery extends AsyncDisposable {
  readonly lab: Lab;
  readonly client: LabClient;
}

/** Opens a lab of 10 ms one way with a client in it. It is closed when a test's time is up, so that nothing waits for ever. */
export async function openScenery(): Promise<Scenery> {
  const lab = await openLab({ delay: 10 });
  const limit = setTimeout(() => void lab.close(), LAB_LIMIT);
  const client = await LabClient.start(lab.client);
  return {
    lab,
    client,
    [Symbol.asyncDispose]: () => {
      clearTimeout(limit);
      return lab.close();
    },
  };
}

/** Starts a server in the lab, on a port of its own. */
export async function openScene(
  { lab, client }: Pick<Scenery, 'lab' | 'client'>,
  how: How,
  { listen, ...setup }: Partial<CloseServerSetup> = {},
  user: User = {},
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
