/* Numbers and moments as people read them. */

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const compact = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });

export function formatCount(count) {
  return count < 100_000 ? whole.format(count) : compact.format(count);
}

/** A second's worth: "0.2/s", "1,250/s". */
export function formatRate(rate) {
  if (rate >= 100_000) return `${compact.format(rate)}/s`;
  if (rate >= 10) return `${whole.format(rate)}/s`;
  return `${Number(rate.toFixed(rate >= 1 ? 1 : 2))}/s`;
}

/** "3 ms", "1.25 s", "12 s", "4 min 5 s", "3 h 20 min", "2 d 4 h". */
export function formatSeconds(seconds) {
  if (seconds < 1) return `${Number((seconds * 1000).toPrecision(2))} ms`;
  if (seconds < 10) return `${Number(seconds.toPrecision(3))} s`;
  if (seconds < 60) return `${Math.round(seconds)} s`;
  const [minutes, hours, days] = [60, 3600, 86400].map((unit) => Math.floor(seconds / unit));
  if (minutes < 60) return `${minutes} min ${Math.floor(seconds % 60)} s`;
  if (hours < 24) return `${hours} h ${minutes % 60} min`;
  return `${days} d ${hours % 24} h`;
}

/** Of RFC 3339: the time, and the date where it was not today. */
export function formatMoment(text) {
  const moment = new Date(text);
  const time = moment.toLocaleTimeString();
  return moment.toDateString() === new Date().toDateString() ? time : `${moment.toLocaleDateString()}, ${time}`;
}

export function plural(count, noun) {
  return `${formatCount(count)} ${noun}${count === 1 ? "" : "s"}`;
}
