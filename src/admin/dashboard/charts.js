/* Sparklines: what was settled, and what failed, in each step of the last ten minutes. Drawn by uPlot, which a build
 * without npm does not have. */
import { formatRate } from "./format.js";

export const hasCharts = globalThis.uPlot !== undefined;

const HEIGHT = 48; // px
const STEPS = 60;
const sparklines = new Set();

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

function line(variable) {
  return { stroke: () => colour(`--${variable}`), fill: () => colour(`--${variable}-fill`), width: 1.5, points: { show: false } };
}

const OPTIONS = {
  height: HEIGHT,
  padding: [2, 0, 0, 0],
  legend: { show: false },
  cursor: { show: false },
  axes: [{ show: false }, { show: false }],
  scales: { x: { time: false, range: [0, STEPS - 1] }, y: { range: (_, __, most) => [0, Math.max(most, 0.1)] } },
  series: [{}, line("settled"), line("failed")],
};

/** Of one queue; a steady place on the time axis: the newest step is at the right edge. */
export class Sparkline {
  #chart = null;

  constructor(container) {
    this.container = container;
    container.setAttribute("role", "img");
    container.setAttribute("aria-label", "No history yet");
    if (!hasCharts) {
      container.hidden = true;
      return;
    }
    this.#chart = new uPlot({ ...OPTIONS, width: 240 }, [[], [], []], container);
    new ResizeObserver(() => this.#fit()).observe(container);
    sparklines.add(this);
  }

  #fit() {
    const width = Math.floor(this.container.clientWidth);
    if (width > 0) this.#chart.setSize({ width, height: HEIGHT });
  }

  redraw() {
    this.#chart.redraw(false);
  }

  /** `history` of the queue as /api/history has it. */
  update(history, stepSeconds) {
    const [settled, failed] = [history.settled, history.failed].map((counts) => counts.map((count) => count / stepSeconds));
    const label = (name, rates) => `${name} ${formatRate(rates.at(-1) ?? 0)} now, ${formatRate(Math.max(0, ...rates))} at most`;
    this.container.setAttribute("aria-label", `Last ten minutes: ${label("settled", settled)}; ${label("failed attempts", failed)}`);
    if (settled.length < STEPS) [settled, failed].forEach((rates) => rates.unshift(0)); // before it was there
    const first = STEPS - settled.length;
    this.#chart?.setData([settled.map((_, index) => first + index), settled, failed]);
  }

  destroy() {
    sparklines.delete(this);
    this.#chart?.destroy();
  }
}

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => sparklines.forEach((sparkline) => sparkline.redraw()));
