// The frame around the views, and the way from an address to a view.

import { balances } from "./balances.js";
import { createJob } from "./create.js";
import { deadLetters } from "./dead_letters.js";
import { fill, h } from "./dom.js";
import { job } from "./job.js";
import { jobs } from "./jobs.js";
import { login } from "./login.js";
import { overview } from "./overview.js";
import { tell, toastArea } from "./parts.js";
import { current, isAdmin, keep } from "./session.js";
import { task, tasks } from "./tasks.js";

const app = document.getElementById("app");
const ID = "([0-9a-f]{32})";

/** Address, view, name in the navigation, and whether it is for Admins only. */
const VIEWS = [
  { path: "/", view: overview, name: "Overview" },
  { path: "/jobs", view: jobs, name: "Jobs" },
  { path: "/new", view: createJob },
  { path: `/jobs/${ID}`, view: job, under: "/jobs" },
  { path: "/tasks", view: tasks, name: "Tasks" },
  { path: `/tasks/${ID}`, view: task, under: "/tasks" },
  { path: "/balances(?:/(.+))?", at: "/balances", view: balances, name: "Balances" },
  { path: "/dead-letters", view: deadLetters, name: "Dead letters", admin: true },
].map((entry) => ({ ...entry, pattern: new RegExp(`^${entry.path}$`) }));

let leave = new AbortController();
let frame = null;

function start(notice) {
  leave.abort();
  frame = null;
  if (current()) show();
  else login(app, () => start(), notice);
}

function show() {
  if (!current()) return;
  leave.abort();
  leave = new AbortController();
  const [path, search] = (location.hash.slice(1) || "/").split("?");
  const found = VIEWS.map((entry) => [entry, entry.pattern.exec(path)]).find(([, match]) => match);
  const first = frame === null;
  frame ??= framed();
  const [entry, match] = found ?? [{ view: missing }, []];
  mark(entry.under ?? entry.at ?? path);
  const outlet = h("div", { class: "view", "aria-busy": "true" });
  fill(frame.main, outlet);
  const query = Object.fromEntries(new URLSearchParams(search));
  const opened = entry.view(outlet, { query, id: match[1] && decodeURIComponent(match[1]), signal: leave.signal });
  Promise.resolve(opened).catch(tell).finally(() => outlet.removeAttribute("aria-busy"));
  const heading = outlet.querySelector("h1");
  document.title = `${heading?.textContent ?? "Leaseway"} · Leaseway`;
  if (!first) {
    heading?.focus({ preventScroll: true });
    scrollTo(0, 0);
  }
}

function missing(outlet) {
  outlet.append(h("h1", { tabindex: "-1" }, "Nothing here"), h("p", {}, h("a", { href: "#/" }, "To the overview")));
}

function framed() {
  const main = h("main", { id: "main", tabindex: "-1" });
  const links = VIEWS.filter((entry) => entry.name && (!entry.admin || isAdmin()))
    .map((entry) => h("a", { href: `#${entry.at ?? entry.path}` }, entry.name));
  const past = h("a", { href: "#main", class: "button skip", on: { click: (event) => { event.preventDefault(); main.focus(); } } }, "Skip to content");
  const { username, role } = current();
  const side = h("header", { class: "side" },
    h("div", { class: "brand" }, h("img", { src: new URL("icon.svg", import.meta.url), alt: "" }), "Leaseway"),
    h("nav", { "aria-label": "Views" }, h("ul", {}, links.map((link) => h("li", {}, link)))),
    h("div", { class: "foot" },
      h("span", { class: "who" }, h("strong", {}, username), ` ${role}`),
      h("div", { class: "row" }, themeButton(), h("button", { type: "button", class: "small", on: { click: signOut } }, "Sign out"))));
  fill(app, past, h("div", { class: "frame" }, side, main), toastArea());
  return { main, links };
}

function mark(path) {
  for (const link of frame.links) {
    if (link.getAttribute("href") === `#${path}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
}

function themeButton() {
  const dark = () => document.documentElement.dataset.theme
    ? document.documentElement.dataset.theme === "dark"
    : matchMedia("(prefers-color-scheme: dark)").matches;
  const label = () => (dark() ? "Light theme" : "Dark theme");
  const made = h("button", { type: "button", class: "small", on: { click: turn } }, label());
  function turn() {
    const theme = dark() ? "light" : "dark";
    document.documentElement.dataset.theme = theme;
    try {
      localStorage.setItem("leaseway-theme", theme);
    } catch {
      // Then it lasts until the page is left.
    }
    made.textContent = label();
    dispatchEvent(new Event("theme"));
  }
  return made;
}

function signOut() {
  keep(null);
  location.hash = "#/";
  start();
}

addEventListener("hashchange", show);
addEventListener("signed-out", (event) => start(event.detail));
start();
