/* The worker's events, for as long as the page is open: whatever happens, it tries again. */

const SILENCE = 10_000; // ms without an event after which the worker counts as gone; one comes each second
const PAUSE = 1000; // ms between two tries

/** What an EventSource does not tell: whether the worker is there, and turned this page away. */
async function isFull(url) {
  try {
    const { status } = await fetch(url, { method: "HEAD", signal: AbortSignal.timeout(PAUSE) });
    return status === 503;
  } catch {
    return false;
  }
}

/**
 * Calls `onEvent.status(data)` and `onEvent.history(data)` as they come, and `onLink("open" | "full" | "lost")` when
 * that changes; "full": others listen, as many as may.
 */
export function follow(url, onEvent, onLink) {
  let source = null;
  let silence = null;
  let link = null;

  function setLink(state) {
    if (link === state) return;
    link = state;
    onLink(state);
  }

  // EventSource tries again by itself, but not after every kind of error, and not when nothing at all comes.
  async function giveUp() {
    clearTimeout(silence);
    source.close();
    setLink((await isFull(url)) ? "full" : "lost");
    setTimeout(open, PAUSE);
  }

  function awaitNext() {
    clearTimeout(silence);
    silence = setTimeout(giveUp, SILENCE);
  }

  function open() {
    source = new EventSource(url);
    source.onerror = giveUp;
    for (const [name, take] of Object.entries(onEvent)) {
      source.addEventListener(name, (event) => {
        awaitNext();
        take(JSON.parse(event.data));
        setLink("open");
      });
    }
    awaitNext();
  }

  open();
}
