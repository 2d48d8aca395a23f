import { constants } from 'node:os';

/** Counts how often a signal comes, on a handle of its own: what the listeners of `process` do does not touch it. */
export interface SignalCount {
  readonly count: number;
  close(): void;
}

/** What Node wraps libuv's uv_signal_t in (src/signal_wrap.cc). */
interface SignalHandle {
  onsignal: () => void;
  start(signal: number): number;
  unref(): void;
  close(): void;
}

/** Undefined where Node gives no such handle: Bun and Deno, the permission model, or a Node without `process.binding`. */
export function countSignal(name: NodeJS.Signals): SignalCount | undefined {
  const handle = makeHandle();
  if (handle === undefined) return undefined;
  let count = 0;
  handle.unref();
  handle.onsignal = () => {
    count += 1;
  };
  if (handle.start(constants.signals[name]) !== 0) {
    handle.close();
    return undefined;
  }
  return {
    get count() {
      return count;
    },
    close: () => handle.close(),
  };
}

/** Node warns of `process.binding` at runtime (DEP0111), and has nothing in its place. */
function makeHandle(): SignalHandle | undefined {
  const { noDeprecation } = process;
  process.noDeprecation = true;
  try {
    const binding: unknown = Reflect.apply(Reflect.get(process, 'binding'), process, ['signal_wrap']);
    const { Signal }: { readonly Signal?: unknown } = Object(binding);
    return typeof Signal === 'function' ? (Reflect.construct(Signal, []) as SignalHandle) : undefined;
  } catch {
    return undefined;
  } finally {
    Reflect.set(process, 'noDeprecation', noDeprecation);
  }
}
