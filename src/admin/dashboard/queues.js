/* A card for each queue. */
import { Sparkline } from "./charts.js";
import { element, setChildren, setState, setText } from "./dom.js";
import { bucketsSince, percentile, queueKey } from "./figures.js";
import { formatCount, formatMoment, formatRate, formatSeconds } from "./format.js";

const FIGURES = [
  ["rate", "Rate"],
  ["acked", "Acked"],
  ["inFlight", "In flight"],
  ["waiting", "Waiting"],
  ["retrying", "Retrying"],
  ["deadLetters", "Dead letters"],
  ["p50", "Median"],
  ["p95", "95 %"],
  ["p99", "99 %"],
  ["ready", "Ready in broker"],
  ["consumers", "Consumers"],
];

/** What the figures say; null where nothing is known. */
function figuresOf(queue, rate, history) {
  const { buckets } = queue.durations;
  const bounds = buckets.map((bucket) => bucket.up_to_seconds).filter((bound) => bound !== null);
  const counts = bucketsSince(history?.durations_before, buckets);
  const duration = (share) => {
    const seconds = percentile(share, counts, bounds);
    if (seconds === null) return null;
    return seconds === Infinity ? `> ${formatSeconds(bounds.at(-1))}` : formatSeconds(seconds);
  };
  return {
    rate: rate === null ? null : formatRate(rate),
    acked: formatCount(queue.settled.acked),
    inFlight: `${formatCount(queue.in_flight)} of ${formatCount(queue.prefetch)}`,
    waiting: formatCount(queue.waiting),
    retrying: formatCount(queue.retrying),
    deadLetters: formatCount(queue.settled.dead_lettered),
    p50: duration(0.5),
    p95: duration(0.95),
    p99: duration(0.99),
    ready: queue.broker ? formatCount(queue.broker.ready) : null,
    consumers: queue.broker ? formatCount(queue.broker.consumers) : null,
  };
}

class Card {
  #values = {};
  #history = null;

  constructor(queue, number) {
    const title = element("h3", { id: `queue-${number}` }, queue.queue);
    this.state = element("p", { class: "state" });
    this.error = element("p", { class: "error", hidden: "" });
    const chart = element("div", { class: "sparkline" });
    const figures = element("dl");
    for (const [key, name] of FIGURES) {
      this.#values[key] = element("dd");
      figures.append(element("div", { class: key }, element("dt", {}, name), this.#values[key]));
    }
    this.node = element(
      "article",
      { class: "card", "aria-labelledby": title.id, tabindex: "-1" },
      element("header", {}, title, element("p", { class: "processor" }, queue.processor), this.state),
      chart,
      figures,
      this.error,
    );
    this.sparkline = new Sparkline(chart);
  }

  takeHistory(history, stepSeconds) {
    this.#history = history;
    this.sparkline.update(history, stepSeconds);
  }

  update(queue, rate, managed) {
    setState(this.node, queue.state);
    setText(this.state, queue.state);
    const figures = figuresOf(queue, rate, this.#history);
    for (const [key, node] of Object.entries(this.#values)) setText(node, figures[key] ?? "–");
    for (const key of ["ready", "consumers"]) this.#values[key].parentElement.hidden = !managed;
    this.#values.deadLetters.parentElement.classList.toggle("bad", queue.settled.dead_lettered > 0);
    this.#showError(queue);
  }

  #showError(queue) {
    const down = queue.state !== "consuming" && queue.failure;
    const error = down ? queue.failure : queue.last_error;
    this.error.hidden = !error;
    if (!error) return;
    const title = down ? "Not consumed" : `Last error, ${formatMoment(error.at)}`;
    setText(this.error, `${title}: ${error.text}`);
  }

  remove() {
    this.sparkline.destroy();
    this.node.remove();
  }
}

export class Queues {
  #cards = new Map(); // by queueKey
  #made = 0;

  constructor(container) {
    this.container = container;
  }

  /** The card's heading, to link to; of a queue that the last status had. */
  anchorOf(queue) {
    return this.#cards.get(queueKey(queue)).node.getAttribute("aria-labelledby");
  }

  update(status, rates) {
    const present = new Set(status.queues.map(queueKey));
    for (const [key, card] of this.#cards) {
      if (present.has(key)) continue;
      card.remove();
      this.#cards.delete(key);
    }
    for (const queue of status.queues) {
      const key = queueKey(queue);
      if (!this.#cards.has(key)) this.#cards.set(key, new Card(queue, ++this.#made));
      this.#cards.get(key).update(queue, rates.of(queue), status.management !== null);
    }
    setChildren(this.container, status.queues.map((queue) => this.#cards.get(queueKey(queue)).node));
  }

  takeHistory(history) {
    for (const queue of history.queues) this.#cards.get(queueKey(queue))?.takeHistory(queue, history.step_seconds);
  }
}
