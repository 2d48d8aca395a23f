/** What the users of one HTTP client saw. */
export interface LoadResult {
  readonly requests: number;
  /** A line for each request that got no answer, or a wrong one. */
  readonly errors: readonly string[];
}

/** GETs and POSTs on kept connections, that go on until they are stopped. For `await using`, which ends at once what is left of it. */
export interface Load extends AsyncDisposable {
  /** Begins no new request. */
  stop(): void;
  /** By the client's name. */
  readonly finished: Promise<Readonly<Record<string, LoadResult>>>;
}

export interface LoadClient {
  readonly names: readonly string[];
  /** Each asks for the path of its name. `folder` takes what has to be written. */
  start(origin: string, folder: string): Load;
}

/** How many ask at the same time with each client. */
export const CONCURRENCY = 8;

/** What they post; the answer tells the length. */
export const BODY: string = 'x'.repeat(2_000);
