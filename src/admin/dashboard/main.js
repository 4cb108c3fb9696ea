/* The dashboard: takes the worker's events in, and has each part of the page show them. */
import { hasCharts } from "./charts.js";
import { showConnections } from "./connections.js";
import { setState, setText } from "./dom.js";
import { Rates } from "./figures.js";
import { formatSeconds } from "./format.js";
import { noticesOf, showNotices } from "./notices.js";
import { Queues } from "./queues.js";
import { follow } from "./stream.js";
import { Tasks } from "./tasks.js";

const at = (id) => document.getElementById(id);
const rates = new Rates();
const queues = new Queues(at("queue-cards"));
const tasks = new Tasks(at("tasks"), at("no-tasks"));

function showStatus(status) {
  const notices = () => noticesOf(status, (queue) => queues.anchorOf(queue));
  rates.add(status);
  queues.update(status, rates);
  tasks.update(status);
  showConnections(at("connections"), status.connections);
  showNotices(at("notices"), notices());
  setText(at("worker"), `${status.host}, process ${status.process}, version ${status.version} (${status.commit}), up for ${formatSeconds(status.uptime_seconds)}`);
  document.title = notices().length > 0 ? `(${notices().length}) Whippet, ${status.host}` : `Whippet, ${status.host}`;
}

function showLink(state) {
  const since = new Date().toLocaleTimeString();
  const texts = {
    open: "Live",
    full: `As many pages are open as this worker serves (since ${since}). Close another; this one goes on by itself …`,
    lost: `The worker does not answer since ${since}; what is below is from before. Trying again …`,
  };
  setState(at("link"), state);
  setText(at("link"), texts[state]);
  document.body.classList.toggle("stale", state !== "open");
}

at("no-charts").hidden = hasCharts;
follow("api/events", { status: showStatus, history: (history) => queues.takeHistory(history) }, showLink);
