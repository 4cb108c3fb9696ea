/* What somebody should look at, in words; the most urgent first. */
import { element, setChildren, setText } from "./dom.js";
import { formatMoment, formatSeconds } from "./format.js";

function ofLoop({ loop }) {
  const { blocked } = loop;
  if (!blocked) return [];
  const culprit = blocked.queue
    ? `processor ${blocked.processor ?? "?"} on queue ${blocked.queue}, message ${blocked.message_id ?? "without an id"}`
    : "no message's code, but the worker itself";
  return [{ level: "bad", text: `The event loop is blocked for ${formatSeconds(blocked.seconds)} now, by ${culprit}: nothing else is served meanwhile` }];
}

function ofConnections({ connections }) {
  const down = connections
    .filter((connection) => connection.needed && !connection.up)
    .map(({ connection, last_error: error }) => ({
      level: "bad",
      text: `No connection to the broker for ${connection === "consume" ? "consuming" : "publishing"}${error ? `: ${error.text}` : " yet"}`,
    }));
  const blocked = connections
    .filter((connection) => connection.blocked)
    .map(({ connection }) => ({
      level: "warn",
      text: `The broker takes no messages on the ${connection} connection: it has an alarm for memory or disk. Dead letters wait`,
    }));
  return [...down, ...blocked];
}

/* While there is no connection, that says it all. */
function ofQueues({ queues, connections }, anchorOf) {
  if (connections.some(({ connection, up }) => connection === "consume" && !up)) return [];
  return queues
    .filter((queue) => !["consuming", "draining"].includes(queue.state))
    .map((queue) => ({
      level: queue.state === "failed" ? "bad" : "warn",
      text: `${queue.queue} is not consumed (${queue.state} since ${formatMoment(queue.since)})${queue.failure ? `: ${queue.failure.text}` : ""}`,
      anchor: anchorOf(queue),
    }));
}

function ofManagement({ management }) {
  return management?.error ? [{ level: "warn", text: `No figures of the broker: ${management.error.text}` }] : [];
}

/** [{level: "bad" | "warn", text, anchor?}] of a status; `anchorOf(queue)` is the id of its card's heading. */
export function noticesOf(status, anchorOf) {
  const stopping = status.stopping ? [{ level: "warn", text: "The worker is stopping: it takes no more messages, and finishes what it has begun" }] : [];
  return [...ofLoop(status), ...stopping, ...ofConnections(status), ...ofQueues(status, anchorOf), ...ofManagement(status)];
}

function item({ anchor }) {
  return element("li", {}, ...(anchor ? [element("a", { href: `#${anchor}` })] : []));
}

function fill(node, { level, text }) {
  if (node.dataset.level !== level) node.dataset.level = level;
  setText(node.firstElementChild ?? node, text);
}

/** Leaves alone what says the same, so that it is read aloud once, and a link that has the focus keeps it. */
export function showNotices(list, notices) {
  const all = notices.length > 0 ? notices : [{ level: "good", text: "Everything is in order" }];
  const before = list.items ?? new Map();
  list.items = new Map();
  for (const notice of all) {
    const key = notice.anchor ?? notice.text;
    const node = before.get(key) ?? item(notice);
    fill(node, notice);
    list.items.set(key, node);
  }
  setChildren(list, [...list.items.values()]);
}
