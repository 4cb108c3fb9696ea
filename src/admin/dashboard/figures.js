/* What the page works out by itself: rates from one status to the next, percentiles from a histogram. */

const WINDOW = 5; // seconds that a rate is taken over

export function queueKey(queue) {
  return JSON.stringify([queue.queue, queue.processor]);
}

function settledOf(queue) {
  return Object.values(queue.settled).reduce((sum, count) => sum + count, 0);
}

/** Messages settled per second, of each queue. */
export class Rates {
  #started = null; // of the process; another one counts from 0 again
  #samples = new Map(); // by queue: [{at, settled}], the oldest first

  /** Takes a status in. */
  add(status) {
    const at = Date.parse(status.time) / 1000;
    if (status.started !== this.#started) this.#samples.clear();
    this.#started = status.started;
    for (const queue of status.queues) {
      const settled = settledOf(queue);
      const samples = (this.#samples.get(queueKey(queue)) ?? []).filter(
        (sample) => at - sample.at <= WINDOW && sample.at < at && sample.settled <= settled,
      );
      samples.push({ at, settled });
      this.#samples.set(queueKey(queue), samples);
    }
  }

  /** Null while there is one status only. */
  of(queue) {
    const samples = this.#samples.get(queueKey(queue)) ?? [];
    const [first, last] = [samples.at(0), samples.at(-1)];
    return samples.length < 2 ? null : (last.settled - first.settled) / (last.at - first.at);
  }
}

/** Counts per bucket since `before` (null: since ever); where counters began anew, since then. */
export function bucketsSince(before, buckets) {
  const since = buckets.map((bucket, index) => bucket.count - (before?.[index] ?? 0));
  return since.some((count) => count < 0) ? buckets.map((bucket) => bucket.count) : since;
}

/**
 * The duration below which `share` of the attempts stayed, taken as evenly spread within a bucket, as Prometheus
 * does. Null without attempts; Infinity beyond the last bound.
 */
export function percentile(share, counts, bounds) {
  const rank = share * counts.reduce((sum, count) => sum + count, 0);
  if (rank === 0) return null;
  let below = 0;
  for (let index = 0; index < bounds.length; index++) {
    if (below + counts[index] >= rank) {
      const low = index > 0 ? bounds[index - 1] : 0;
      return low + ((bounds[index] - low) * (rank - below)) / counts[index];
    }
    below += counts[index];
  }
  return Infinity;
}
