/** For tests: waits for a condition instead of for a time. */

/** @param what for the error, when it has not come true after `patienceMs` of real time */
export async function until(condition: () => boolean | Promise<boolean>, what = 'the condition', patienceMs = 20_000): Promise<void> {
  const end = performance.now() + patienceMs;
  while (!(await condition())) {
    if (performance.now() > end) throw new Error(`Waited ${patienceMs} ms in vain for ${what}.`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}
