// Everything at a glance, kept up to date while it is looked at.

import { get } from "./api.js";
import { liveChart } from "./charts.js";
import { fill, h, sync } from "./dom.js";
import { ago, duration, shortId, tone, whole } from "./format.js";
import { head, panel, select, table } from "./parts.js";
import { polling } from "./poll.js";
import { current, isAdmin } from "./session.js";

const SECONDS = 2;
const TASK_SECONDS = 10;
const STATUSES = ["CREATED", "RUNNING", "COMPLETED", "FAILED", "CANCELLED"];
const ENDS = [
  { name: "COMPLETED", tone: "good" },
  { name: "FAILED", tone: "bad", dash: [6, 3] },
  { name: "CANCELLED", tone: "off", dash: [2, 3] },
];
const NOW = [{ name: "RUNNING", tone: "info" }, { name: "CREATED", tone: "warn", dash: [6, 3] }];

export function overview(outlet, { query, signal }) {
  const owner = isAdmin() ? (query.owner ?? "*") : undefined;
  const tiles = h("div", { class: "tiles" });
  const ended = liveChart("Jobs ended a second", ENDS, "/s", signal);
  const present = liveChart("Jobs waiting and running", NOW, "", signal);
  const types = typeTable(owner);
  const failures = failureTable();
  const told = h("p", { class: "note is-warn", role: "status", hidden: true });
  const taskTiles = h("div", { class: "tiles pad" });
  fill(
    outlet,
    head("Overview", isAdmin() && scope(owner), h("a", { class: "button primary", href: "#/new" }, "Create a job")),
    told, tiles,
    h("div", { class: "columns" }, panel("Jobs ended a second", ended.element), panel("Waiting and running", present.element)),
    h("div", { class: "columns" }, panel("By type", types.element), panel("Latest failures", failures.element)),
    isAdmin() && panel("Runs of tasks", taskTiles),
  );

  const rate = rates();
  function show(counts) {
    const counted = STATUSES.map((status) => ({ status, count: counts.jobs[status] }));
    sync(tiles, counted, (one) => one.status, (one) => tile(one.status, one.count, owner));
    const seconds = Date.parse(counts.at) / 1000;
    const speeds = rate(seconds, ENDS.map((line) => counts.jobs[line.name]));
    if (speeds) ended.add(seconds, speeds);
    present.add(seconds, NOW.map((line) => counts.jobs[line.name]));
    types.show(counts.types, (row) => row.type);
  }

  const counted = polling(() => Promise.all([
    get("api/v1/overview", { owner }, signal, ["jobs", "types"]).then(show),
    get("api/v1/jobs", { owner, status: "FAILED", size: 6 }, signal, ["content"]).then((page) => failures.show(page.content)),
  ]), SECONDS, signal, (problem) => {
    told.hidden = !problem;
    told.textContent = problem ? `What is shown is not up to date: ${problem.message}` : "";
  });
  const readTasks = async () => showTasks(taskTiles, await get("api/tasks/stats/summary", {}, signal, ["overall"]));
  const summed = isAdmin() && polling(readTasks, TASK_SECONDS, signal);
  return Promise.all([counted.first, summed.first]);
}

function scope(owner) {
  const choose = { change: (event) => { location.hash = `#/?owner=${encodeURIComponent(event.target.value)}`; } };
  const mine = [["*", "Everybody's jobs"], [current().username, "My jobs"]];
  return h("div", {}, h("label", { for: "scope", class: "hidden-text" }, "Whose jobs"), select(mine, owner, { id: "scope", on: choose }));
}

function tile(status, count, owner) {
  const address = new URLSearchParams({ status, ...(owner === undefined ? {} : { owner }) });
  return h("a", { class: "tile", href: `#/jobs?${address}`, "data-focus": "tile" },
    h("span", { class: "name" }, h("span", { class: `dot is-${tone(status)}` }), status),
    h("span", { class: "value", "data-count": status }, whole(count)));
}

function typeTable(owner) {
  const link = (row) => `#/jobs?${new URLSearchParams({ type: row.type, ...(owner === "*" ? { owner, status: "COMPLETED" } : {}) })}`;
  return table("Jobs by type", [
    { name: "Type", cell: (row) => h("div", { class: "grow" }, h("a", { href: link(row), "data-focus": "type" }, row.type), bar(row.jobs)) },
    { name: "Live", kind: "number", cell: (row) => whole(row.jobs.CREATED + row.jobs.RUNNING) },
    { name: "Completed", kind: "number", cell: (row) => whole(row.jobs.COMPLETED) },
    { name: "Failed", kind: "number", cell: (row) => whole(row.jobs.FAILED) },
    { name: "Cancelled", kind: "number", cell: (row) => whole(row.jobs.CANCELLED) },
  ], "No jobs yet.");
}

function bar(counts) {
  const parts = STATUSES.filter((status) => counts[status]).map((status) => {
    const part = h("span", { class: `is-${tone(status)}` });
    part.style.flexGrow = counts[status];
    return part;
  });
  return h("div", { class: "bar", "aria-hidden": "true" }, parts);
}

function failureTable() {
  return table("Latest failures", [
    { name: "Job", cell: (job) => h("span", {}, h("a", { href: `#/jobs/${job.id}`, "data-focus": "job" }, job.type, " ", h("span", { class: "mono" }, shortId(job.id)))) },
    { name: "Why", cell: (job) => job.error_message ?? "" },
    { name: "Ended", cell: (job) => ago(job.finished_at) },
  ], "Nothing has failed.");
}

/** Differences a second between two counts; null the first time. */
function rates() {
  let last = null;
  return (seconds, counts) => {
    const before = last;
    last = { seconds, counts };
    if (!before || seconds <= before.seconds) return null;
    return counts.map((count, at) => Math.max(0, count - before.counts[at]) / (seconds - before.seconds));
  };
}

function showTasks(outlet, summary) {
  const { overall } = summary;
  const shown = [
    ["Running", whole(overall.running), "RUNNING"], ["Completed", whole(overall.successes), "COMPLETED"],
    ["Failed", whole(overall.failures), "FAILED"], ["Mean", duration(overall.mean_ms)], ["95th percentile", duration(overall.p95_ms)],
    ["Skipped", whole(overall.skipped)], ["Missed", whole(overall.missed)],
  ];
  fill(outlet, shown.map(([name, value, status]) => h("div", { class: "tile" },
    h("span", { class: "name" }, status && h("span", { class: `dot is-${tone(status)}` }), name), h("span", { class: "value" }, value))));
}

