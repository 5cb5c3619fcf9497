// Values as people read them.

import { h } from "./dom.js";

const KINDS = {
  COMPLETED: "good", FAILED: "bad", CANCELLED: "off", RUNNING: "info", CREATED: "warn",
  WAITING: "off", PAUSED: "warn", SKIPPED: "off", MISSED: "warn",
  CRASHED: "bad", EXPIRED: "warn",
};
const STEPS = [[86_400, "d"], [3_600, "h"], [60, "min"], [1, "s"]];

/** The tone of a status: good, bad, warn, info or off. */
export const tone = (status) => KINDS[status] ?? "off";

export const badge = (status) => h("span", { class: `badge is-${tone(status)}` }, status);

export const shortId = (id) => `${id.slice(0, 8)}…`;

export const whole = (number) => new Intl.NumberFormat("en").format(number);

/** A length of time in the two largest of its units. */
export function duration(milliseconds) {
  if (milliseconds === null || milliseconds === undefined) return "–";
  if (milliseconds < 1000) return `${Math.round(milliseconds)} ms`;
  const seconds = milliseconds / 1000;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  const at = STEPS.findIndex(([size]) => seconds >= size);
  const [size, unit] = STEPS[at];
  const next = STEPS[at + 1];
  const rest = next ? Math.floor((seconds % size) / next[0]) : 0;
  return `${Math.floor(seconds / size)} ${unit}${rest ? ` ${rest} ${next[1]}` : ""}`;
}

/** What a job of a type gets if it names nothing. */
export const defaultsOf = (kind) => `By default ${duration(kind.ttl_ms)} for an attempt, ${kind.max_attempts} attempts.`;

export function relative(text, now = Date.now()) {
  const past = now - Date.parse(text);
  if (Math.abs(past) < 1000) return "now";
  const rounded = Math.abs(past) < 10_000 ? Math.round(Math.abs(past) / 1000) * 1000 : Math.abs(past);
  const length = duration(rounded).replace(".0 s", " s");
  return past > 0 ? `${length} ago` : `in ${length}`;
}

/** A time as its distance from now, kept right while it is shown; the time itself is its title. */
export function ago(text) {
  if (!text) return h("span", { class: "quiet" }, "–");
  return h("time", { datetime: text, title: new Date(text).toLocaleString("en"), "data-ago": true }, relative(text));
}

setInterval(() => {
  for (const shown of document.querySelectorAll("time[data-ago]")) {
    const text = relative(shown.dateTime);
    if (shown.textContent !== text) shown.textContent = text;
  }
}, 1000);

/** An amount of money in its currency's own form. */
export function money(amount, currency) {
  return new Intl.NumberFormat("en", { style: "currency", currency, maximumFractionDigits: 4 }).format(amount);
}

export const json = (value) => JSON.stringify(value, null, 2);
