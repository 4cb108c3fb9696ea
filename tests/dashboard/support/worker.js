/* `whippet run`, as a user runs it, on the broker of scripts/broker. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { awaited } from "./patience.js";

const PROGRAM = process.env.WHIPPET_PROGRAM;
const BROKER = process.env.WHIPPET_TEST_AMQP_URL;

let names = 0;

/** A queue's name that no other test has. */
export function queueName(name) {
  return `${name}.${process.pid}.${++names}`;
}

export class Worker {
  #process = null;
  #folder = null;
  #log = "";

  /** `queues` and `more` as whippet.json has them; started, and its admin port known. */
  static async start(queues, more = {}) {
    const worker = new Worker();
    worker.#folder = await mkdtemp(join(tmpdir(), "whippet-dashboard-"));
    worker.queues = queues;
    worker.more = more;
    await worker.start(0);
    return worker;
  }

  /** A path in a folder that goes with the worker. */
  path(name) {
    return join(this.#folder, name);
  }

  async start(port) {
    const records = (queue) =>
      queue.processor === "record" ? { ...queue, settings: { path: this.path("record"), ...queue.settings } } : queue;
    const configuration = {
      amqp: { url: BROKER, reconnect: { min: "100ms", max: "1s" } },
      admin: { listen: `127.0.0.1:${port}` },
      processor_path: [process.env.WHIPPET_TEST_PLUGINS],
      log: { format: "text" },
      queues: this.queues.map(records),
      ...this.more,
    };
    await writeFile(this.path("whippet.json"), JSON.stringify(configuration));
    this.#log = "";
    this.#process = spawn(PROGRAM, ["run", "-c", this.path("whippet.json")], { stdio: ["ignore", "ignore", "pipe"] });
    this.#process.stderr.setEncoding("utf-8").on("data", (text) => (this.#log += text));
    const found = await awaited("the worker's admin port", () => {
      if (this.#process.exitCode !== null) throw new Error(`the worker has ended:\n${this.#log}`);
      return this.#log.match(/admin port at (http:\/\/127\.0\.0\.1:(\d+)\/)/);
    });
    [, this.url, this.port] = found;
  }

  says(text) {
    return this.#log.includes(text);
  }

  async status() {
    return (await fetch(`${this.url}api/status`)).json();
  }

  async awaitConsuming() {
    await awaited("every queue to be consumed", async () => (await fetch(`${this.url}readyz`)).ok);
  }

  /** Ends it at once, as a crash would. */
  async kill() {
    const ended = once(this.#process, "exit");
    this.#process.kill("SIGKILL");
    await ended;
  }

  /** Another one at the same port. */
  async startAgain() {
    await this.start(this.port);
  }

  async end() {
    if (this.#process.exitCode === null && this.#process.signalCode === null) await this.kill();
    await rm(this.#folder, { recursive: true, force: true });
  }
}

/** `whippet publish` with these arguments. */
export async function publish(...args) {
  const child = spawn(PROGRAM, ["publish", "--quiet", "--url", BROKER, ...args], { stdio: ["ignore", "ignore", "inherit"] });
  const [code] = await once(child, "exit");
  if (code !== 0) throw new Error(`whippet publish ${args.join(" ")}: exit status ${code}`);
}
