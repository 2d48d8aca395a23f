/** Calls the program's own. What that throws is an uncaught error of the program, and no harm to the frames that come after it. */
export function callApart(call: () => unknown): void {
  try {
    call();
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}
