/* The pictures of docs/images: a sample of a worker's day on the page that a real worker serves. */
import assert from "node:assert/strict";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { openBrowser, openPage } from "./support/browser.js";
import { history, statusAfter } from "./support/sample.js";
import { queueName, Worker } from "./support/worker.js";

const FOLDER = process.env.WHIPPET_PICTURES;
const WIDTH = 880; // px
const LARGEST = 150 * 1024; // bytes, of a picture that a README shows

/* In the page, in place of the browser's own: hands out the sample, again and again. */
function sampleSource(events) {
  window.EventSource = class extends EventTarget {
    #timer = setInterval(() => events.forEach(({ name, data }) => this.#send(name, data)), 500);

    #send(name, data) {
      this.dispatchEvent(new MessageEvent(name, { data: JSON.stringify(data) }));
    }

    close() {
      clearInterval(this.#timer);
    }
  };
}

let browser;
let worker;

before(async () => {
  browser = await openBrowser();
  worker = await Worker.start([{ name: queueName("orders"), processor: "counting" }]);
});

after(async () => {
  await browser?.close();
  await worker?.end();
});

for (const colorScheme of ["light", "dark"]) {
  test(`looks as it should in ${colorScheme} mode`, async () => {
    const page = await openPage(browser, { colorScheme, viewport: { width: WIDTH, height: 700 }, timezoneId: "UTC" });
    await page.clock.setFixedTime(statusAfter(0).time);
    await page.addInitScript(sampleSource, [
      { name: "status", data: statusAfter(0) },
      { name: "status", data: statusAfter(2) },
      { name: "history", data: history() },
    ]);
    await page.goto(worker.url);
    await page.getByText("Live", { exact: true }).waitFor();
    await page.getByText("118/s").first().waitFor();
    await page.getByRole("img", { name: /settled/ }).first().waitFor();
    const main = await page.locator("main").boundingBox();
    const clip = { x: 0, y: 0, width: WIDTH, height: Math.ceil(main.y + main.height) + 16 };
    const picture = await page.screenshot({ fullPage: true, clip, animations: "disabled" });
    assert.deepEqual(page.complaints, []);
    assert.ok(picture.length > 10_000 && picture.length < LARGEST, `the picture has ${picture.length} bytes`);
    console.log(`the picture has ${picture.length} bytes`);
    if (FOLDER) {
      await mkdir(FOLDER, { recursive: true });
      await writeFile(join(FOLDER, colorScheme === "light" ? "dashboard.png" : "dashboard-dark.png"), picture);
    }
  });
}
