// Reading again and again, while somebody looks.

import { Problem } from "./api.js";

const SLOWEST_SECONDS = 30;

/**
 * Run `action` now and then every `seconds` until the signal ends it; never while the page is hidden. A failure doubles
 * the wait and is told to `failed`; success tells it null. Returns a function that runs the action at once; its `first`
 * is the promise of the first run's end.
 */
export function polling(action, seconds, signal, failed = () => {}) {
  let timer = 0;
  let wait = seconds;
  let running = null;

  async function attempt() {
    try {
      await action(signal);
      wait = seconds;
      failed(null);
    } catch (problem) {
      if (signal.aborted || problem.name === "AbortError") return;
      if (!(problem instanceof Problem)) throw problem;
      wait = Math.min(SLOWEST_SECONDS, wait * 2);
      failed(problem);
    }
  }

  async function run() {
    clearTimeout(timer);
    running ??= attempt().finally(() => { running = null; });
    await running;
    if (!signal.aborted) timer = setTimeout(next, wait * 1000);
  }

  const next = () => { if (!document.hidden) run(); };
  document.addEventListener("visibilitychange", next, { signal });
  signal.addEventListener("abort", () => clearTimeout(timer));
  return Object.assign(run, { first: run() });
}
