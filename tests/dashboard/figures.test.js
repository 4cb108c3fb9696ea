/* What the page works out by itself. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { bucketsSince, percentile, Rates } from "../../src/admin/dashboard/figures.js";
import { formatCount, formatRate, formatSeconds } from "../../src/admin/dashboard/format.js";

function statusAt(seconds, acked, started = "2026-01-01T00:00:00Z") {
  return { time: new Date(seconds * 1000).toISOString(), started, queues: [{ queue: "orders", processor: "log", settled: { acked, returned: 0 } }] };
}

function ratesOf(...statuses) {
  const rates = new Rates();
  for (const status of statuses) rates.add(status);
  return rates.of(statuses.at(-1).queues[0]);
}

test("a rate takes two statuses", () => {
  assert.equal(ratesOf(statusAt(1, 10)), null);
  assert.equal(ratesOf(statusAt(1, 10), statusAt(2, 30)), 20);
});

test("a rate is of the last five seconds", () => {
  assert.equal(ratesOf(statusAt(0, 0), statusAt(10, 1000), statusAt(12, 1004)), 2);
});

test("a worker that was started anew begins anew", () => {
  assert.equal(ratesOf(statusAt(1, 500), statusAt(2, 600, "2026-01-01T00:00:01Z")), null);
});

test("a status that comes twice, and a counter that goes back, do no harm", () => {
  assert.equal(ratesOf(statusAt(1, 10), statusAt(1, 10)), null);
  assert.equal(ratesOf(statusAt(1, 10), statusAt(2, 5)), null);
});

const BOUNDS = [0.1, 1, 10];

test("a percentile lies within its bucket, evenly spread", () => {
  assert.equal(percentile(0.5, [10, 0, 0, 0], BOUNDS), 0.05);
  assert.equal(percentile(0.75, [2, 2, 0, 0], BOUNDS), 0.55);
  assert.equal(percentile(0.99, [0, 0, 0, 5], BOUNDS), Infinity);
  assert.equal(percentile(0.5, [0, 0, 0, 0], BOUNDS), null);
});

test("buckets are counted from where the history begins", () => {
  const now = [{ count: 5 }, { count: 7 }];
  assert.deepEqual(bucketsSince([1, 7], now), [4, 0]);
  assert.deepEqual(bucketsSince(undefined, now), [5, 7]);
  assert.deepEqual(bucketsSince([9, 0], now), [5, 7], "they began anew");
});

test("numbers read well", () => {
  assert.deepEqual([0, 1234, 99_999, 1_234_567].map(formatCount), ["0", "1,234", "99,999", "1.2M"]);
  assert.deepEqual([0, 0.254, 1.25, 1234, 150_000].map(formatRate), ["0/s", "0.25/s", "1.3/s", "1,234/s", "150K/s"]);
  assert.deepEqual(
    [0.0025, 0.4567, 1.2345, 12.6, 65, 3700, 90_000].map(formatSeconds),
    ["2.5 ms", "460 ms", "1.23 s", "13 s", "1 min 5 s", "1 h 1 min", "1 d 1 h"],
  );
});
