/* The dashboard, as somebody in front of it sees it. */
import assert from "node:assert/strict";
import { after, afterEach, before, test } from "node:test";
import { percentile } from "../../src/admin/dashboard/figures.js";
import { formatSeconds } from "../../src/admin/dashboard/format.js";
import { enableManagement } from "./support/broker.js";
import { findBarriers, openBrowser, openPage } from "./support/browser.js";
import { awaited, PATIENCE } from "./support/patience.js";
import { publish, queueName, Worker } from "./support/worker.js";

let browser;
let page;
const workers = [];

before(async () => {
  browser = await openBrowser();
});

after(async () => {
  await browser.close();
});

async function startWorker(...args) {
  const worker = await Worker.start(...args);
  workers.push(worker);
  return worker;
}

async function open(worker, options) {
  page = await openPage(browser, options);
  await page.goto(worker.url);
  await page.getByText("Live", { exact: true }).waitFor();
}

afterEach(async () => {
  const complaints = page?.complaints ?? [];
  await page?.context().close();
  page = null;
  await Promise.all(workers.splice(0).map((worker) => worker.end()));
  assert.deepEqual(complaints, [], "the console is not clean");
});

function card(queue) {
  return page.getByRole("article", { name: queue, exact: true });
}

/** Awaits that the figure says that; a text or an expression. */
async function awaitFigure(queue, name, expected) {
  await card(queue)
    .locator("div", { has: page.getByText(name, { exact: true }) })
    .getByRole("definition")
    .filter({ hasText: expected })
    .waitFor();
}

async function awaitNotice(text) {
  await page.locator("#notices").getByText(text).waitFor();
}

test("shows a message going through", async () => {
  const queue = queueName("orders");
  const worker = await startWorker([{ name: queue, processor: "counting" }]);
  await worker.awaitConsuming();
  await open(worker);
  await card(queue).getByText("consuming").waitFor();
  await awaitNotice("Everything is in order");
  await awaitFigure(queue, "Acked", /^0$/);
  await publish(queue, "--body", "hello", "--count", "3");
  await awaitFigure(queue, "Acked", /^3$/);
  await awaitFigure(queue, "Median", / ms$/);
  await awaitFigure(queue, "In flight", /^0 of /);
});

test("shows what is in flight, the slowest first", async () => {
  const queue = queueName("slow");
  const worker = await startWorker([{ name: queue, processor: "record", concurrency: 1, prefetch: 2, settings: { delay: "60s" } }]);
  await worker.awaitConsuming();
  await publish(queue, "--body", "x", "--message-id", "first");
  await publish(queue, "--body", "x", "--message-id", "second");
  await open(worker);
  await awaitFigure(queue, "In flight", /^2 of 2$/);
  await awaitFigure(queue, "Waiting", /^1$/);
  await page.getByRole("row", { name: /first 1 sleeping/ }).waitFor();
  await page.getByRole("row", { name: /second – waiting for its turn/ }).waitFor();
});

test("shows a slow attempt before all that rest between two", async () => {
  const [failing, queue] = [queueName("failing"), queueName("slow")];
  const worker = await startWorker([
    { name: failing, processor: "record", prefetch: 200, timeout: "10s", retry: { attempts: 2, delay: "5m" }, settings: { verdict: "retry" } },
    { name: queue, processor: "record", settings: { delay: "60s" } },
  ]);
  await worker.awaitConsuming();
  await open(worker);
  await publish(failing, "--body", "x", "--count", "120");
  await awaitFigure(failing, "Retrying", /^120$/);
  await page.getByRole("row", { name: "between two attempts" }).first().waitFor();
  await publish(queue, "--body", "x", "--message-id", "tortoise");
  await page.locator("#tasks tbody tr").first().filter({ hasText: /tortoise.*sleeping/ }).waitFor();
});

test("shows rates, percentiles, and what the broker says of each queue", async () => {
  const [quick, held] = [queueName("quick"), queueName("held")];
  const url = await enableManagement();
  const worker = await startWorker(
    [
      { name: quick, processor: "record", concurrency: 1, settings: { delay: "150ms" } },
      { name: held, processor: "record", concurrency: 1, prefetch: 2, settings: { delay: "60s" } },
    ],
    { management: { url, interval: "200ms" } },
  );
  await worker.awaitConsuming();
  await open(worker);
  await publish(held, "--body", "x", "--count", "7");
  await publish(quick, "--body", "x", "--count", "20");
  await awaitFigure(quick, "Rate", /^(?!0\/s)\d+(\.\d+)?\/s$/);
  await awaitFigure(quick, "Acked", /^20$/);
  const { buckets } = (await worker.status()).queues[0].durations;
  const bounds = buckets.map((bucket) => bucket.up_to_seconds).filter((bound) => bound !== null);
  const duration = (share) => formatSeconds(percentile(share, buckets.map(({ count }) => count), bounds));
  assert.notEqual(duration(0.95), duration(0.99));
  for (const [name, share] of [["Median", 0.5], ["95 %", 0.95], ["99 %", 0.99]]) await awaitFigure(quick, name, duration(share));
  await awaitFigure(held, "Ready in broker", /^5$/);
  await awaitFigure(held, "Consumers", /^1$/);
  await awaitFigure(quick, "Ready in broker", /^0$/);
});

test("shows a failure, and the dead letter that comes of it", async () => {
  const queue = queueName("mails");
  const settings = { verdict: "retry", reason: "the mail server is busy" };
  const worker = await startWorker([{ name: queue, processor: "record", settings, retry: { attempts: 2, delay: "10ms" } }]);
  await worker.awaitConsuming();
  await open(worker);
  await publish(queue, "--body", "x");
  await awaitFigure(queue, "Dead letters", /^1$/);
  await card(queue).getByText(/Last error, .*: .*the mail server is busy/).waitFor();
});

test("shows a subscription that is down, and why, and leads there", async () => {
  const [missing, queue] = [queueName("missing"), queueName("orders")];
  const worker = await startWorker([
    { name: queue, processor: "counting" },
    { name: missing, processor: "counting", declare: "passive" },
  ]);
  await open(worker);
  await card(missing).getByText("failed").waitFor();
  await card(missing).getByText(/Not consumed: .*NOT_FOUND/).waitFor();
  await card(queue).getByText("consuming").waitFor();
  const notice = page.getByRole("link", { name: new RegExp(`${missing} is not consumed`) });
  await notice.click();
  assert.match(page.url(), /#queue-\d+$/);
  assert.match(await page.title(), /^\(1\) Whippet/);
});

test("says that the worker went away, and is there again by itself when the worker is", async () => {
  const queue = queueName("orders");
  const worker = await startWorker([{ name: queue, processor: "counting" }]);
  await worker.awaitConsuming();
  await open(worker);
  await publish(queue, "--body", "x");
  await awaitFigure(queue, "Acked", /^1$/);
  const before = await worker.status();
  await worker.kill();
  await page.getByText(/The worker does not answer since/).waitFor();
  await worker.startAgain();
  await page.getByText("Live", { exact: true }).waitFor();
  await page.getByText(`process ${(await worker.status()).process},`).waitFor();
  assert.notEqual((await worker.status()).process, before.process);
  await awaitFigure(queue, "Acked", /^0$/);
  // Chromium itself says that nobody was there.
  page.complaints = page.complaints.filter((text) => !/^Failed to load resource: net::ERR_/.test(text));
});

test("says that as many pages are open as may, and goes on when one of them is closed", async () => {
  const worker = await startWorker([{ name: queueName("orders"), processor: "counting" }]);
  const others = Array.from({ length: 16 }, () => new AbortController());
  const answers = await Promise.all(others.map(({ signal }) => fetch(`${worker.url}api/events`, { signal })));
  assert.deepEqual(new Set(answers.map(({ status }) => status)), new Set([200]));
  page = await openPage(browser);
  await page.goto(worker.url);
  await page.getByText(/As many pages are open as this worker serves/).waitFor();
  others[0].abort();
  await page.getByText("Live", { exact: true }).waitFor();
  for (const other of others) other.abort();
  // Chromium itself says that it was turned away.
  page.complaints = page.complaints.filter((text) => !text.includes("503 (Service Unavailable)"));
});

test("shows a connection that is down", async () => {
  const worker = await startWorker([{ name: "orders", processor: "counting" }], { amqp: { url: "amqp://127.0.0.1:1/" } });
  await open(worker);
  await awaitNotice(/No connection to the broker for consuming: .*Connection refused/);
  await page.getByRole("listitem").filter({ hasText: "Consuming down" }).waitFor();
});

test("names the message that blocks the loop", async () => {
  const queue = queueName("computing");
  const worker = await startWorker([{ name: queue, processor: "record", settings: { block: "60s" } }]);
  await worker.awaitConsuming();
  await open(worker);
  await publish(queue, "--body", "x", "--message-id", "stone");
  await awaitNotice(new RegExp(`The event loop is blocked for .* by processor record on queue ${queue}, message stone`));
});

test("says that the management API does not answer", async () => {
  const worker = await startWorker([{ name: queueName("orders"), processor: "counting" }], { management: { url: "http://127.0.0.1:1" } });
  await open(worker);
  await awaitNotice(/No figures of the broker: the management API at http:\/\/127\.0\.0\.1:1 can't be asked/);
  await page.getByText("Ready in broker").waitFor();
});

test("takes names and errors for what they are, and never for markup", async () => {
  const hostile = `<img src=x onerror=alert(1)>"'&amp;${queueName("")}`;
  const reason = "<script>alert(2)</script><b>bold</b>";
  const worker = await startWorker([
    { name: hostile, processor: "record", settings: { verdict: "reject", reason } },
    { name: hostile + "slow", processor: "record", settings: { delay: "60s" } },
  ]);
  await worker.awaitConsuming();
  await open(worker);
  await publish(hostile, "--body", "x");
  await publish(hostile + "slow", "--body", "x", "--message-id", "<i onclick=alert(3)>id</i>");
  await page.getByRole("heading", { name: hostile, exact: true }).waitFor();
  await card(hostile).getByText(reason).waitFor();
  await page.getByRole("row", { name: "<i onclick=alert(3)>id</i>" }).waitFor();
  assert.equal(await page.locator("main").locator("img, script, b, i").count(), 0);
});

test("is one page of less than 100 KB, and there within 200 ms", async () => {
  const worker = await startWorker([{ name: queueName("orders"), processor: "counting" }]);
  await open(worker);
  const load = () =>
    page.evaluate(() => {
      const [navigation] = performance.getEntriesByType("navigation");
      const files = [navigation, ...performance.getEntriesByType("resource").filter(({ name }) => !name.endsWith("/api/events"))];
      return {
        milliseconds: navigation.loadEventEnd,
        compressed: files.reduce((sum, file) => sum + file.encodedBodySize, 0),
        plain: files.reduce((sum, file) => sum + file.decodedBodySize, 0),
      };
    });
  const { compressed, plain } = await load();
  console.log(`the page: ${compressed} bytes, ${plain} uncompressed`);
  assert.ok(compressed > 10_000 && compressed < 100_000, `${compressed} bytes`);
  let best = Infinity;
  // Others are at work on this machine: the best of some loads is what it can do.
  for (let tries = 0; tries < 60 && best >= 200; tries++) {
    await page.reload({ waitUntil: "load" });
    best = Math.min(best, (await load()).milliseconds);
  }
  console.log(`the page: loaded in ${Math.round(best)} ms`);
  assert.ok(best < 200, `${best} ms at best`);
});

test("is in order for keyboards and screen readers", async () => {
  const [queue, missing] = [queueName("orders"), queueName("missing")];
  const worker = await startWorker([
    { name: queue, processor: "counting" },
    { name: missing, processor: "counting", declare: "passive" },
  ]);
  await open(worker);
  await card(missing).getByText("failed").waitFor();
  await card(queue).getByText("consuming").waitFor();
  const names = [];
  for (let i = 0; i < 6; i++) {
    await page.keyboard.press("Tab");
    names.push(await page.evaluate(() => document.activeElement.textContent.trim()));
  }
  assert.match(names[1], new RegExp(`^${missing} is not consumed`));
  assert.deepEqual([names[0], ...names.slice(2)], ["Skip to the queues", "Status as JSON", "Readiness", "Liveness", "Metrics"]);
  const outline = (await page.locator("body").ariaSnapshot()).split("\n").map((text) => text.trim());
  const order = ["heading \"Whippet\"", "status: Live", "heading \"State\"", "heading \"Connections\"", "heading \"Queues\"", `article "${queue}"`,
    `heading "${queue}"`, "img \"", "term: Rate", `article "${missing}"`, "heading \"Slowest tasks in flight\"", "navigation \"Other pages\""];
  let from = 0;
  for (const name of order) {
    const found = outline.findIndex((text, index) => index >= from && text.includes(name));
    assert.ok(found >= 0, `${name} is not there, or not in its place:\n${outline.join("\n")}`);
    from = found;
  }
});

for (const colorScheme of ["light", "dark"]) {
  test(`fits a phone and puts up no barrier in ${colorScheme} mode`, async () => {
    const [queue, missing, slow] = [queueName("orders.with.a.rather.long.name"), queueName("missing"), queueName("slow")];
    const worker = await startWorker([
      { name: queue, processor: "record", settings: { verdict: "reject", reason: "no such customer" } },
      { name: slow, processor: "record", settings: { delay: "60s" } },
      { name: missing, processor: "counting", declare: "passive" },
    ]);
    await open(worker, { colorScheme, viewport: { width: 360, height: 740 }, deviceScaleFactor: 2 });
    await card(missing).getByText("failed").waitFor();
    await card(queue).getByText("consuming").waitFor();
    await publish(queue, "--body", "x");
    await publish(slow, "--body", "x");
    await card(queue).getByText("no such customer").waitFor();
    await page.getByRole("row", { name: "sleeping" }).waitFor();
    assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), 360, "it is wider than the phone");
    const background = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    const brightness = Math.max(...background.match(/\d+/g).map(Number));
    assert.equal(brightness < 128, colorScheme === "dark", background);
    assert.deepEqual(await findBarriers(page), []);
  });
}

test("says so where it was built without charts, and is whole otherwise", async () => {
  const queue = queueName("orders");
  const worker = await startWorker([{ name: queue, processor: "counting" }]);
  await worker.awaitConsuming();
  page = await openPage(browser);
  // What CMake puts in place of uPlot where there is none.
  await page.route("**/uplot.js", (route) => route.fulfill({ contentType: "text/javascript", body: "/* This build has no charts. */\n" }));
  await page.goto(worker.url);
  await page.getByText("This build has no charts").waitFor();
  await publish(queue, "--body", "x");
  await awaitFigure(queue, "Acked", /^1$/);
  assert.equal(await page.locator("canvas").count(), 0);
});

test("draws the last ten minutes", async () => {
  const queue = queueName("orders");
  const worker = await startWorker([{ name: queue, processor: "counting" }]);
  await worker.awaitConsuming();
  await open(worker);
  const sparkline = card(queue).getByRole("img");
  const settledNow = async () => (await sparkline.getAttribute("aria-label")).match(/settled (\S+) now/)?.[1];
  // Where a step ends amid them, once more: right behind another one's end.
  await awaited("a step of the history", async () => {
    await awaited("a step without any", async () => (await settledNow()) === "0/s");
    await publish(queue, "--body", "x", "--count", "30");
    let settled;
    await awaited("a step with them", async () => (settled = await settledNow()) !== "0/s");
    return settled === "3/s";
  }, 3 * PATIENCE);
  const drawn = await sparkline.locator("canvas").evaluate((canvas) => {
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    return data.some((value) => value !== 0);
  });
  assert.ok(drawn, "the canvas is empty");
});
