/* The slowest tasks in flight, in the worker's own order: those at work before those that rest. */
import { element } from "./dom.js";
import { formatSeconds } from "./format.js";

const SHOWN = 10;

function row(task) {
  const age = task.attempt_age_seconds ?? task.age_seconds;
  return element(
    "tr",
    {},
    element("th", { scope: "row" }, task.queue, " ", element("span", { class: "processor" }, task.processor)),
    element("td", {}, task.message_id ?? "without an id"),
    element("td", { class: "number" }, task.attempt > 0 ? String(task.attempt) : "–"),
    element("td", {}, task.state),
    element("td", { class: "number" }, formatSeconds(age)),
  );
}

export class Tasks {
  constructor(table, none) {
    this.table = table;
    this.none = none;
  }

  update(status) {
    const tasks = status.in_flight.tasks.slice(0, SHOWN);
    this.table.hidden = tasks.length === 0;
    this.none.hidden = tasks.length > 0;
    this.table.tBodies[0].replaceChildren(...tasks.map(row));
  }
}
