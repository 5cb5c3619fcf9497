// Jobs: found by status, type and owner, a page at a time; cancelled and tried again, one or many.

import { get, post, postIfVersion, Problem, unreadable } from "./api.js";
import { fill, h } from "./dom.js";
import { ago, badge, duration, shortId, whole } from "./format.js";
import { button, confirm, field, head, select, table, tell, toast } from "./parts.js";
import { polling } from "./poll.js";
import { current, isAdmin } from "./session.js";

const SECONDS = 4;
const SIZE = 25;
const STATUSES = ["CREATED", "RUNNING", "COMPLETED", "FAILED", "CANCELLED"];
const AT_ONCE = 6;

export const live = (job) => job.status === "CREATED" || job.status === "RUNNING";
export const retryable = (job) => job.status === "FAILED" || job.status === "CANCELLED";

export async function cancel(job) {
  const sure = await confirm("Cancel this job?", "It ends at once, and what it has done so far is not kept.", "Cancel the job");
  if (sure) await postIfVersion(`api/v1/jobs/${job.id}/cancel`, job.version);
  return sure;
}

export const retry = (job) => postIfVersion(`api/v1/jobs/${job.id}/retry`, job.version);

export function jobs(outlet, { query, signal }) {
  const filter = { owner: query.owner, status: query.status, type: query.type, tag: query.tag };
  const chosen = new Map();
  const before = query.before ? query.before.split("~") : [];
  const counted = h("p", { class: "quiet", "aria-live": "polite" }, "Reading …");
  const pager = h("div", { class: "row" });
  const bulk = h("div", { class: "row", role: "group", "aria-label": "Chosen jobs" });
  const all = h("div", { class: "row", role: "group", "aria-label": "All jobs that match" }, together(filter, () => read()));
  const list = jobTable(chosen, { showBulk, act });
  fill(outlet, head("Jobs", h("a", { class: "button primary", href: "#/new" }, "Create a job")),
    filters(filter, signal),
    h("section", { class: "panel", "aria-label": "List" }, h("header", {}, counted, h("div", { class: "push row" }, bulk, all)), list.element),
    pager);

  const read = polling(async () => {
    const page = await get("api/v1/jobs", { ...filter, size: SIZE, cursor: query.cursor }, signal, ["content", "cursor"]);
    for (const job of page.content) if (chosen.has(job.id)) chosen.set(job.id, job);
    list.show(page.content);
    // A tag's jobs are not counted: the total is null.
    counted.textContent = page.totalElements === null || page.totalElements === undefined
      ? `${whole(page.content.length)} on this page`
      : `${whole(page.totalElements)} ${page.totalElements === 1 ? "job" : "jobs"}`;
    fill(pager, pages(query, before, page.cursor));
  }, SECONDS, signal, (problem) => { if (problem) counted.textContent = problem.message; });

  async function act(action, job, done) {
    let happened = true;
    try {
      happened = (await action(job)) !== false;
      if (happened) toast(done);
    } finally {
      if (happened) await read();
    }
  }

  function showBulk() {
    const some = [...chosen.values()];
    fill(bulk, some.length > 0 && [
      h("span", {}, `${some.length} chosen`),
      button("Try again", () => change(some.filter(retryable), "Try again", retry, "tried again"), { class: "small" }),
      button("Cancel", () => change(some.filter(live), "Cancel", (job) => postIfVersion(`api/v1/jobs/${job.id}/cancel`, job.version), "cancelled"), { class: "small danger" }),
    ]);
  }

  async function change(some, what, action, done) {
    if (some.length === 0) return toast(`None of the chosen jobs can be ${done}.`, "bad");
    if (!await confirm(`${what} ${some.length} ${some.length === 1 ? "job" : "jobs"}?`, "Each is decided by itself.", what, what === "Cancel" ? "danger" : "primary")) return;
    const well = await each(some, action);
    toast(`${well} of ${some.length} ${done}.`, well === some.length ? "good" : "bad");
    chosen.clear();
    for (const box of outlet.querySelectorAll("tbody input[type=checkbox]")) box.checked = false;
    showBulk();
    await read();
  }

  return read.first;
}

/** Buttons that change every job that the filter finds; none where it would find them all. */
function together(filter, done) {
  const { status } = filter;
  if (!status && !filter.type && !filter.tag) return [];
  const offered = [];
  if (!status || retryable({ status })) offered.push(["retry", "Try all again", "tried again", "primary"]);
  if (!status || live({ status })) offered.push(["cancel", "Cancel all", "cancelled", "danger"]);
  return offered.map(([verb, label, past, kind]) => button(label, () => changeAll(filter, verb, label, past, kind, done), { class: "small" }));
}

// The API changes up to 100 a call and hands out a cursor; a dry run says first how many there are.
async function changeAll(filter, verb, label, past, kind, done) {
  const selection = Object.fromEntries(Object.entries(filter).filter(([, value]) => value));
  const step = (cursor, dryRun) => post(`api/v1/jobs/${verb}`, { ...selection, dry_run: dryRun, ...(cursor ? { cursor } : {}) }, ["matched", "changed", "cursor"]);
  const found = await throughout((cursor) => step(cursor, true), (part) => part.matched);
  if (found === 0) return toast(`Nothing can be ${past}.`, "bad");
  const many = `${whole(found)} ${found === 1 ? "job" : "jobs"}`;
  if (!await confirm(`${label}: ${many}?`, `They are all that the filter finds and that can be ${past}.`, label, kind)) return;
  const changed = await throughout((cursor) => step(cursor, false), (part) => part.changed);
  toast(`${whole(changed)} ${changed === 1 ? "job" : "jobs"} ${past}.`);
  await done();
}

async function throughout(step, count) {
  let [total, cursor] = [0, null];
  const cursors = new Set();
  do {
    const part = await step(cursor);
    total += count(part);
    cursor = part.cursor;
    if (cursors.has(cursor)) throw unreadable(); // it would go on for ever
    cursors.add(cursor);
  } while (cursor);
  return total;
}

/** Run an action for each, a few at a time; returns for how many it went well. */
async function each(jobs, action) {
  const waiting = [...jobs];
  let well = 0;
  async function worker() {
    for (let job = waiting.shift(); job; job = waiting.shift()) {
      try {
        await action(job);
        well += 1;
      } catch (problem) {
        if (!(problem instanceof Problem)) throw problem;
      }
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  return well;
}

function jobTable(chosen, { showBulk, act }) {
  const choose = (job) => ({ change: (event) => {
    if (event.target.checked) chosen.set(job.id, job);
    else chosen.delete(job.id);
    showBulk();
  } });
  return table("Jobs", [
    { hidden: "Choose", cell: (job) => {
      const box = h("input", { type: "checkbox", "aria-label": `Choose ${job.type} ${shortId(job.id)}`, "data-focus": "choose", on: choose(job) });
      box.checked = chosen.has(job.id);
      return box;
    } },
    { name: "Job", cell: (job) => h("a", { href: `#/jobs/${job.id}`, "data-focus": "job" }, job.type, " ", h("span", { class: "mono" }, shortId(job.id))) },
    { name: "Status", cell: (job) => badge(job.status) },
    ...(isAdmin() ? [{ name: "Owner", cell: (job) => job.owner }] : []),
    { name: "Attempts", kind: "number", cell: (job) => `${job.attempts} of ${job.max_attempts}` },
    { name: "Created", cell: (job) => ago(job.created_at) },
    { name: "Took", kind: "number", cell: (job) => taken(job) },
    { hidden: "Actions", kind: "actions", cell: (job) => [
      live(job) && button("Cancel", () => act(cancel, job, "Cancelled."), { class: "small", "data-focus": "act", "aria-label": `Cancel ${job.type} ${shortId(job.id)}` }),
      retryable(job) && button("Try again", () => act(retry, job, "It is tried again."), { class: "small", "data-focus": "act", "aria-label": `Try ${job.type} ${shortId(job.id)} again` }),
    ] },
  ], "No job is like that.");
}

export const taken = (job) => (job.started_at && job.finished_at ? duration(Date.parse(job.finished_at) - Date.parse(job.started_at)) : "–");

function address(parts) {
  const kept = Object.entries(parts).filter(([, value]) => value);
  return `#/jobs?${new URLSearchParams(kept)}`;
}

function filters(filter, signal) {
  const go = (change) => { location.hash = address({ ...filter, ...change }); };
  const status = field("Status", select([["", filter.owner === "*" ? "Choose one" : "Any"], ...STATUSES.map((name) => [name])], filter.status,
    { on: { change: (event) => go({ status: event.target.value }) } }));
  const type = field("Type", select([["", "Any"]], "", { on: { change: (event) => go({ type: event.target.value }) } }));
  const owner = field("Owner", h("input", { value: filter.owner ?? "", placeholder: current().username, list: "owners", on: { change: (event) => {
    const wanted = event.target.value.trim();
    go({ owner: wanted, status: wanted === "*" && !filter.status ? "RUNNING" : filter.status });
  } } }), { hint: "* for everybody's, in one status" });
  const tag = field("Tag", h("input", { value: filter.tag ?? "", on: { change: (event) => go({ tag: event.target.value.trim() }) } }));
  const id = field("Id", h("input", { placeholder: "32 hexadecimal digits", pattern: "[0-9a-f]{32}", on: { input: (event) => {
    const wanted = event.target.value.trim().toLowerCase();
    if (/^[0-9a-f]{32}$/.test(wanted)) location.hash = `#/jobs/${wanted}`;
  } } }));
  get("api/v1/job-types", {}, signal, ["content", "job"]).then((types) => {
    type.control.append(...types.content.map((kind) => h("option", { value: kind.name }, kind.name)));
    type.control.value = filter.type ?? "";
    tag.element.hidden = !types.job.$defs?.NewJob?.properties?.tags;
  }).catch(tell);
  const owners = h("datalist", { id: "owners" }, h("option", { value: "*" }));
  return h("div", { class: "panel pad filters", role: "search", "aria-label": "Find jobs" },
    status.element, type.element, isAdmin() && [owner.element, owners], tag.element, id.element);
}

function pages(query, before, next) {
  const back = () => { location.hash = address({ ...query, cursor: before.at(-1), before: before.slice(0, -1).join("~") }); };
  const on = () => { location.hash = address({ ...query, cursor: next, before: [...before, query.cursor ?? ""].join("~") }); };
  return [
    query.cursor && h("button", { type: "button", on: { click: back } }, "Newer"),
    next && h("button", { type: "button", on: { click: on } }, "Older"),
  ];
}
