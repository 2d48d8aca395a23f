/** stoppable 1.1.0 comes without types; this is what the benchmark uses of it. */
declare module 'stoppable' {
  import type http from 'node:http';

  type Stop = (callback?: (error: Error | undefined, gracefully: boolean) => void) => void;

  export default function stoppable<S extends http.Server>(server: S, grace?: number): S & { stop: Stop };
}
