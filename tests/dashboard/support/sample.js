/* A worker in the middle of a day, for pictures: the same each time, and as /api/status and /api/history have it. */

const NOW = "2026-03-02T14:05:00.000Z";
const BOUNDS = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, null];
const STEPS = 60;

function ago(seconds) {
  return new Date(Date.parse(NOW) - seconds * 1000).toISOString();
}

/** How attempts spread around a typical duration. */
function bucketsAround(seconds, count) {
  const weights = BOUNDS.map((bound) => Math.exp(-((Math.log((bound ?? 20) / seconds) / 0.9) ** 2)));
  const sum = weights.reduce((all, weight) => all + weight, 0);
  return weights.map((weight) => Math.round((weight / sum) * count));
}

function queueOf({ name, processor, seconds, acked, dead = 0, inFlight = 0, prefetch = 64, waiting = 0, retrying = 0, ready = 0, consumers = 3, ...more }) {
  const counts = bucketsAround(seconds, acked + dead);
  return {
    queue: name,
    processor,
    state: "consuming",
    since: ago(7200),
    failure: null,
    concurrency: prefetch,
    prefetch,
    consumed: acked + dead + inFlight,
    settled: { acked, retried: 0, dead_lettered: dead, discarded: 0, returned: 0 },
    in_flight: inFlight,
    waiting,
    running: inFlight - waiting - retrying,
    retrying,
    attempts: { ok: acked, retry: 0, reject: dead, timeout: 0, cancelled: 0, crash: 0 },
    stale_settlements: 0,
    last_delivery: NOW,
    durations: { buckets: BOUNDS.map((bound, index) => ({ up_to_seconds: bound, count: counts[index] })), count: acked + dead, sum_seconds: 0 },
    last_error: null,
    broker: { ready, unacknowledged: inFlight, consumers },
    ...more,
  };
}

const QUEUES = [
  { name: "orders", processor: "postgres", seconds: 0.012, acked: 482_110, inFlight: 9, rate: 118, consumers: 4 },
  { name: "invoices", processor: "http", seconds: 0.2, acked: 20_544, dead: 3, inFlight: 41, retrying: 22, ready: 318, rate: 6, failing: 2.4,
    last_error: { text: "the printer answers 503 Service Unavailable", at: ago(4) } },
  { name: "emails", processor: "exec", seconds: 0.6, acked: 61_020, inFlight: 14, waiting: 6, prefetch: 16, ready: 12, rate: 14 },
  { name: "thumbnails", processor: "resize", seconds: 0, acked: 0, state: "failed", since: ago(94), rate: 0, consumers: 0,
    failure: { text: "404 NOT_FOUND - no queue 'thumbnails' in vhost '/'" } },
];

function connection(name, more = {}) {
  return { connection: name, needed: true, up: true, blocked: false, since: ago(7200), address: "amqp://shop@rabbit:5672/", epoch: 1, reconnects: 0, last_error: null, ...more };
}

function task(queue, processor, message, attempt, state, seconds) {
  return { queue, processor, message_id: message, attempt, state, age_seconds: seconds + 3, attempt_age_seconds: seconds };
}

/** The status `seconds` after the sample's moment, so that rates come out. */
export function statusAfter(seconds) {
  return {
    time: ago(-seconds),
    version: "0.1.0",
    commit: "3f2a9c1",
    host: "worker-1",
    process: 1,
    started: ago(7260),
    uptime_seconds: 7260 + seconds,
    stopping: false,
    loop: { live: true, lag_seconds: 0, lag_max_seconds: 0.004, blocked: null },
    connections: [connection("consume", { reconnects: 1 }), connection("publish"), connection("relay", { needed: false, up: false })],
    queues: QUEUES.map(({ rate, failing, ...queue }) => queueOf({ ...queue, acked: Math.round(queue.acked + rate * seconds) })),
    management: { url: "http://rabbit-1:15672", error: null },
    sent: {},
    in_flight: {
      count: 64,
      as_of: NOW,
      tasks: [
        task("invoices", "http", "inv-20931", 3, "waiting on a descriptor", 8.4),
        task("emails", "exec", "mail-77120", 1, "waiting for a command", 1.3),
      ],
    },
  };
}

/* A pleasant curve without chance in it. */
function wave(index, phase) {
  return 1 + 0.25 * Math.sin(index / 6 + phase) + 0.12 * Math.sin(index / 1.7 + 2 * phase) + (index > 34 && index < 41 ? 0.7 : 0);
}

export function history() {
  return {
    step_seconds: 10,
    as_of: NOW,
    queues: QUEUES.map(({ name, processor, rate, failing = 0 }, number) => ({
      queue: name,
      processor,
      settled: Array.from({ length: STEPS }, (_, index) => Math.round(rate * 10 * wave(index, number))),
      failed: Array.from({ length: STEPS }, (_, index) => (index > 30 ? Math.round(failing * 10 * wave(index, 3)) : 0)),
      in_flight: Array.from({ length: STEPS }, () => 0),
      durations_before: BOUNDS.map(() => 0),
    })),
  };
}
