/** As much of http-proxy as the tests need; the package has no types. */
declare module 'http-proxy' {
  import type { IncomingMessage } from 'node:http';
  import type { Duplex } from 'node:stream';

  interface Proxy {
    on(event: 'error', listener: () => void): this;
    ws(request: IncomingMessage, socket: Duplex, head: Buffer): void;
  }

  const httpProxy: { createProxyServer(options: { readonly target: string; readonly ws: boolean }): Proxy };
  export default httpProxy;
}
