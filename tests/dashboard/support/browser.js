/* Headless Chromium, and pages in it that must not say a word of complaint. */
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";
import { PATIENCE } from "./patience.js";

const PROGRAM = process.env.CHROMIUM ?? "/usr/bin/chromium";
const axeFile = createRequire(import.meta.url).resolve("axe-core/axe.min.js");

export async function openBrowser() {
  return chromium.launch({ executablePath: PROGRAM, args: ["--no-sandbox", "--disable-dev-shm-usage", "--disable-lcd-text"] });
}

/** A page, in a context of its own; `page.complaints` fills with what goes wrong in it. */
export async function openPage(browser, options = {}) {
  const context = await browser.newContext({ locale: "en-GB", ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE);
  page.complaints = [];
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) page.complaints.push(message.text());
  });
  page.on("pageerror", (error) => page.complaints.push(String(error)));
  page.on("dialog", (dialog) => page.complaints.push(`a dialog: ${dialog.message()}`));
  return page;
}

/** What axe finds: one line each. It is run in a world of its own, which the page's policy leaves alone. */
export async function findBarriers(page) {
  const client = await page.context().newCDPSession(page);
  const { frameTree } = await client.send("Page.getFrameTree");
  const { executionContextId } = await client.send("Page.createIsolatedWorld", { frameId: frameTree.frame.id });
  const evaluate = async (expression) => {
    const { result, exceptionDetails } = await client.send("Runtime.evaluate", {
      expression,
      contextId: executionContextId,
      awaitPromise: true,
      returnByValue: true,
    });
    if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
    return result.value;
  };
  await evaluate(`${await readFile(axeFile, "utf-8")}; 0`);
  const violations = await evaluate("axe.run().then(({ violations }) => violations)");
  return violations.flatMap(({ id, help, nodes }) => nodes.map((node) => `${id}: ${help}: ${node.html}`));
}
