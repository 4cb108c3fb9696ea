/* Waiting for what will be, on however busy a machine. */

const PAUSE = 50; // ms
export const PATIENCE = 20_000 * (process.env.WHIPPET_TEST_PATIENCE ?? 1); // ms

/** What `probe` returns as soon as that is true; an error that says `what` when it has not been for long. */
export async function awaited(what, probe, patience = PATIENCE) {
  const deadline = Date.now() + patience;
  for (;;) {
    const found = await probe();
    if (found) return found;
    if (Date.now() > deadline) throw new Error(`waited ${patience / 1000} s for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, PAUSE));
  }
}
