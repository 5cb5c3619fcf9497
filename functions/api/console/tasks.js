// Recurring tasks: what they do, what they did, and running, pausing and defining them.

import { get, patch, post, postOnce, Problem, remove } from "./api.js";
import { fill, h } from "./dom.js";
import { ago, badge, defaultsOf, duration, json, relative, tone } from "./format.js";
import { box, button, confirm, doing, facts, field, head, panel, select, table, toast } from "./parts.js";
import { polling } from "./poll.js";
import { schemaForm } from "./schema_form.js";
import { isAdmin } from "./session.js";

const SECONDS = 3;
const RUNS_IN_A_ROW = 16;
const RUNS = 60;
const MARKS = { FAILED: "×", RUNNING: "…", CREATED: "·", CANCELLED: "–", SKIPPED: "»", MISSED: "?" };

export function tasks(outlet, { signal }) {
  const runs = new Map();
  const listed = table("Tasks", [
    { name: "Task", cell: (row) => h("a", { href: `#/tasks/${row.id}`, "data-focus": "task" }, row.name) },
    { name: "State", cell: (row) => badge(row.state) },
    { name: "Schedule", cell: (row) => schedule(row) },
    { name: "Next run", cell: (row) => ago(row.next_run) },
    ...(isAdmin() ? [{ name: "Runs", cell: (row) => strip(row.runs) }] : []),
    ...(isAdmin() ? [{ hidden: "Actions", kind: "actions", cell: (row) => [
      button("Run now", () => act(row.id, run, "Started."), { class: "small", "data-focus": "run", "aria-label": `Run ${row.name} now` }),
      pauseButton(row, () => read()),
    ] }] : []),
  ], "No task is defined.");
  const told = h("p", { class: "note is-warn", role: "status", hidden: true });
  const define = isAdmin() && button("Define a task", () => defineTask(() => read()), { class: "primary" });
  fill(outlet, head("Tasks", define), told, h("section", { class: "panel", "aria-label": "List" }, listed.element));

  const read = polling(async () => {
    const [page, history] = await Promise.all([
      get("api/tasks", { size: 100 }, signal, ["content"]),
      isAdmin() ? get("api/tasks/history", { size: 100 }, signal, ["content"]) : { content: [] },
    ]);
    runs.clear();
    for (const entry of history.content) runs.set(entry.task_id, [...(runs.get(entry.task_id) ?? []), entry]);
    listed.show(page.content.map((found) => ({ ...found, runs: (runs.get(found.id) ?? []).slice(0, RUNS_IN_A_ROW) })));
  }, SECONDS, signal, (problem) => {
    told.hidden = !problem;
    told.textContent = problem?.message ?? "";
  });
  const act = async (id, action, done) => {
    await action(id);
    toast(done);
    await read();
  };
  return read.first;
}

const run = (id) => postOnce(`api/tasks/${id}/run`);

const schedule = (found) => (found.every ? `every ${found.every}` : `${found.cron ?? "–"} ${found.timezone}`);

function pauseButton(found, done, attributes = { class: "small" }) {
  const [label, enabled] = found.enabled ? ["Pause", false] : ["Resume", true];
  const turn = async () => {
    await patch(`api/tasks/${found.id}`, { enabled });
    toast(enabled ? "Resumed." : "Paused.");
    await done();
  };
  return button(label, turn, { ...attributes, "data-focus": "pause", "aria-label": `${label} ${found.name}` });
}

/** Runs and slots as a row of cells, the oldest first. Each says what it is in words too. */
function strip(entries, large = false) {
  if (entries.length === 0) return h("span", { class: "quiet" }, "None yet");
  return h("ul", { class: large ? "strip large" : "strip" }, [...entries].reverse().map((entry) => h("li", {}, cell(entry))));
}

function cell(entry) {
  const words = `${entry.status}, ${relative(entry.at)}`;
  const mark = h("span", { "aria-hidden": "true" }, MARKS[entry.status] ?? "");
  const looks = { class: `run is-${tone(entry.status)}`, title: words };
  const text = h("span", { class: "hidden-text" }, words);
  if (entry.run) return h("a", { ...looks, href: `#/jobs/${entry.run.job_id}` }, mark, text);
  return h("span", looks, mark, text);
}

export function task(outlet, { id, signal }) {
  const title = head("Task");
  const state = h("div", { class: "row", "aria-live": "polite" });
  const body = h("div", { class: "stack" });
  const history = historyTable();
  const row = h("div", { class: "pad" });
  let seen = "";
  fill(outlet, title, state, body, isAdmin() && panel("History", row, history.element));

  const read = polling(async () => {
    const [found, past] = await Promise.all([
      get(`api/tasks/${id}`, {}, signal, ["id", "name", "state"]),
      isAdmin() ? get(`api/tasks/${id}/history`, { size: RUNS }, signal, ["content"]) : { content: [] },
    ]);
    title.querySelector("h1").textContent = found.name;
    document.title = `${found.name} · Leaseway`;
    fill(row, strip(past.content, true));
    history.show(past.content, (entry) => `${entry.at} ${entry.status} ${entry.run?.job_id}`);
    const looks = JSON.stringify({ ...found, run: found.run?.status });
    if (looks === seen) return;
    seen = looks;
    fill(state, badge(found.state), h("span", { class: "quiet" }, schedule(found)));
    fill(body, about(found));
    fill(title.querySelector(".push"), isAdmin() && actions(found));
  }, SECONDS, signal, (problem) => {
    if (problem) fill(state, h("p", { class: "note is-bad" }, problem.message));
    if (problem) seen = "";
  });

  const actions = (found) => [
    button("Run now", async () => { await run(id); toast("Started."); await read(); }, { class: "primary" }),
    pauseButton(found, () => read(), {}),
    button("Delete", async () => {
      if (!await confirm(`Delete ${found.name}?`, "A run in progress goes on; no other follows.", "Delete the task")) return;
      await remove(`api/tasks/${id}`);
      location.hash = "#/tasks";
    }, { class: "danger" }),
  ];
  return read.first;
}

function about(found) {
  const last = found.run && h("a", { href: `#/jobs/${found.run.job_id}` }, found.run.status);
  return [
    h("section", { class: "panel pad", "aria-label": "Facts" }, facts([
      ["Type", found.type], ["Owner", found.owner], ["Next run", found.next_run && ago(found.next_run)], ["Last run", last],
      ["Overlap", found.overlap], ["Catch-up", found.catch_up], ["Time to live", duration(found.ttl_ms)],
      ["Attempts", String(found.max_attempts)], ["Start within", found.start_within_seconds === null ? "any time" : duration(found.start_within_seconds * 1000)],
      ["Skipped", inRow(found.skipped, found.skipped_in_row)], ["Missed", String(found.missed)], ["Failed in a row", String(found.failed_in_row)],
    ])),
    panel("Payload", h("div", { class: "pad" }, box("Payload as JSON", json(found.payload)))),
  ];
}

const inRow = (count, last) => (last > 0 ? `${count}, the last ${last} in a row` : String(count));

function historyTable() {
  return table("History", [
    { name: "When", cell: (entry) => (entry.run ? h("a", { href: `#/jobs/${entry.run.job_id}`, "data-focus": "run" }, ago(entry.at)) : ago(entry.at)) },
    { name: "What", cell: (entry) => badge(entry.status) },
    { name: "Slots", kind: "number", cell: (entry) => (entry.slot ? String(entry.slots) : "by hand") },
    { name: "Worker", cell: (entry) => entry.run?.worker ?? "" },
    { name: "Why", cell: (entry) => entry.run?.error_message ?? "" },
  ], "It has not run yet.");
}

async function defineTask(done) {
  const types = await get("api/v1/job-types", {}, undefined, ["content"]);
  const name = field("Name", h("input", { required: true, maxlength: 100 }));
  const every = field("Every", h("input", { placeholder: "5m" }), { hint: "A number with s, m, h or d; or give a cron expression" });
  const cron = field("Cron", h("input", { placeholder: "30 4 * * 1-5" }));
  const timezone = field("Time zone", h("input", { value: "UTC" }));
  const within = field("Start within", h("input", { type: "number", min: 1 }), { hint: "Seconds; a run that no worker claims in time is cancelled" });
  const type = field("Type", select(types.content.map((kind) => [kind.name]), "SLEEP", { on: { change: () => turn() } }), { wide: true });
  const defaults = h("p", { class: "quiet" });
  const place = h("div");
  const said = h("p", { class: "note is-bad", role: "alert", hidden: true });
  const submit = h("button", { type: "submit", class: "primary" }, "Define the task");
  const dialog = h("dialog", { "aria-labelledby": "define" });
  let payload = null;

  function turn() {
    const chosen = types.content.find((kind) => kind.name === type.control.value);
    payload = schemaForm(chosen.payload);
    defaults.textContent = defaultsOf(chosen);
    fill(place, payload.element);
  }

  async function send() {
    said.hidden = true;
    const given = Object.entries({ name, every, cron, timezone }).map(([key, part]) => [key, part.control.value.trim()]);
    const seconds = within.control.value.trim();
    const limit = seconds ? { start_within_seconds: Number(seconds) } : {};
    const wanted = { ...limit, ...Object.fromEntries(given.filter(([, value]) => value)), type: type.control.value, payload: payload.read() };
    try {
      await post("api/tasks", wanted);
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      said.textContent = problem.message;
      said.hidden = false;
      return;
    }
    dialog.close();
    toast("Defined.");
    await done();
  }

  const submitted = (event) => {
    event.preventDefault();
    doing(submit, send);
  };
  const close = h("button", { type: "button", on: { click: () => dialog.close() } }, "Leave it");
  fill(dialog, h("form", { class: "stack", on: { submit: submitted } }, h("h2", { id: "define" }, "Define a task"),
    h("div", { class: "form" }, name.element, every.element, cron.element, timezone.element, within.element, type.element), defaults, place, said,
    h("div", { class: "row end" }, close, submit)));
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  turn();
  dialog.showModal();
}
