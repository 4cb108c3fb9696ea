/* The broker of scripts/broker, which the tests run within. */
import { execFile } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { awaited } from "./patience.js";

const SCRIPT = fileURLToPath(new URL("../../../scripts/broker", import.meta.url));
const FOLDER = process.env.WHIPPET_TEST_BROKER;

/** What the Erlang expression comes to inside the broker; null where it fails. */
async function evaluate(expression) {
  try {
    return (await promisify(execFile)(SCRIPT, ["eval", FOLDER, expression])).stdout.trim();
  } catch {
    return null;
  }
}

/** A port of loopback that nobody has. */
async function freePort() {
  const server = createServer();
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** Has the broker serve its management API, without a restart; where that is. */
export async function enableManagement() {
  const plugins = join(FOLDER, "enabled_plugins");
  await writeFile(plugins, "[rabbitmq_management].\n");
  await awaited("the broker to be up", async () => (await evaluate("rabbit:is_running()")) === "true");
  // Somebody else may take the port meanwhile.
  return awaited("the management plugin", async () => {
    const port = await freePort();
    const said = await evaluate(
      `application:set_env(rabbit, collect_statistics_interval, 500),
       application:set_env(rabbitmq_management, tcp_config, [{port, ${port}}, {ip, "127.0.0.1"}]),
       {ok, _, _} = rabbit_plugins:ensure("${plugins}"), ok`.replaceAll(/\s+/g, " "),
    );
    return said === "ok" && `http://127.0.0.1:${port}`;
  });
}
