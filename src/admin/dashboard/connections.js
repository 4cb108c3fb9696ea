/* The connections to the broker. */
import { element } from "./dom.js";
import { formatMoment, plural } from "./format.js";

const PURPOSES = { consume: "Consuming", publish: "Publishing", relay: "Passing on large messages" };

function stateOf(connection) {
  if (!connection.up) return connection.needed ? "down" : "idle";
  return connection.blocked ? "blocked" : "up";
}

function wordsOf(connection) {
  const since = connection.since ? ` since ${formatMoment(connection.since)}` : "";
  const words = { up: `up${since}`, blocked: "blocked by the broker", down: `down${since}`, idle: "not needed" };
  const again = connection.reconnects > 0 ? `, ${plural(connection.reconnects, "reconnect")}` : "";
  return words[stateOf(connection)] + again;
}

function item(connection) {
  return element(
    "li",
    { "data-state": stateOf(connection) },
    element("strong", {}, PURPOSES[connection.connection] ?? connection.connection),
    " ",
    element("span", { class: "state" }, wordsOf(connection)),
    " ",
    element("span", { class: "address" }, connection.address ?? ""),
  );
}

/** Those that are needed, or could be: a relay that nothing needs is not worth a line. */
export function showConnections(list, connections) {
  list.replaceChildren(...connections.filter((connection) => connection.needed || connection.up).map(item));
}
