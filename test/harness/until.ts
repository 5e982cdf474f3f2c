/** Waits for a condition instead of a time: polls until it answers something true, and says what it waited for when it never does. */
export async function until<T>(what: string, probe: () => T | undefined | false | Promise<T | undefined | false>, timeoutMs = 20_000): Promise<T> {
  const end = performance.now() + timeoutMs;
  let last: unknown;
  for (;;) {
    try {
      const value = await probe();
      if (value !== undefined && value !== false) return value;
      last = undefined;
    } catch (error) {
      last = error;
    }
    if (performance.now() > end) throw new Error(`waited ${timeoutMs} ms in vain: ${what}`, last === undefined ? undefined : { cause: last });
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
