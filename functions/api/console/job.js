// One job: what it is, how it stands, what came of it.

import { get } from "./api.js";
import { fill, h, sync } from "./dom.js";
import { ago, badge, duration, json } from "./format.js";
import { cancel, live, retry, retryable, taken } from "./jobs.js";
import { box, button, facts, head, panel, table, tell, toast } from "./parts.js";
import { polling } from "./poll.js";

const SECONDS = 1;

export function job(outlet, { id, signal }) {
  const title = head("Job", h("a", { class: "button", href: `#/new?from=${id}` }, "Create one like it"));
  const actions = h("div", { class: "row" });
  const state = h("div", { class: "row", "aria-live": "polite" });
  const body = h("div", { class: "stack" });
  title.querySelector(".push").prepend(actions);
  fill(outlet, title, state, body);
  const picture = pictureOf(id, signal);
  let [seen, latest] = ["", null];

  const read = polling(async () => {
    const found = await get(`api/v1/jobs/${id}`, {}, signal, ["id", "type", "status"]);
    if (JSON.stringify(found) === seen) return;
    [seen, latest] = [JSON.stringify(found), found];
    title.querySelector("h1").textContent = found.type;
    document.title = `${found.type} · Leaseway`;
    fill(state, badge(found.status), h("span", { class: "mono quiet" }, id));
    sync(actions, choices(found), (choice) => choice, (choice) => offered[choice]());
    sync(body, content(found, picture), (part) => part.name, (part) => part.draw());
  }, SECONDS, signal, (problem) => {
    if (problem) fill(state, h("p", { class: "note is-bad" }, problem.message));
    if (problem) seen = "";
  });

  const act = (action, done) => async () => {
    let happened = true;
    try {
      happened = (await action(latest)) !== false;
      if (happened) toast(done);
    } finally {
      if (happened) await read();
    }
  };
  const offered = {
    cancel: () => button("Cancel", act(cancel, "Cancelled."), { class: "danger" }),
    retry: () => button("Try again", act(retry, "It is tried again."), { class: "primary" }),
  };
  return read.first;
}

const choices = (found) => [live(found) && "cancel", retryable(found) && "retry"].filter(Boolean);

// Each part says what it shows, `of`: one that shows the same as before keeps its element, and the focus in it.
function content(found, picture) {
  const { error_message: error, result, payload } = found;
  const attempts = found.history ?? [];
  const part = (name, of, draw) => ({ name, of, draw });
  return [
    error && part("error", [error, found.status], () => h("p", { class: `note is-${found.status === "FAILED" ? "bad" : "warn"}` }, error)),
    live(found) && Number.isFinite(found.progress) && part("progress", [found.progress, found.progress_note], () => progress(found)),
    part("facts", found, () => h("section", { class: "panel pad", "aria-label": "Facts" }, facts(known(found)))),
    result?.key && String(result.content_type).startsWith("image/")
      && part("picture", result, () => panel("Picture", h("div", { class: "pad" }, picture(found)))),
    part("data", [payload, result], () => h("div", { class: "columns" },
      panel("Payload", h("div", { class: "pad" }, payload ? box("Payload as JSON", json(payload)) : "–")),
      result && panel("Result", h("div", { class: "pad" }, box("Result as JSON", json(result)))))),
    attempts.length > 0 && part("attempts", attempts, () => panel("Attempts", attemptTable(attempts))),
  ].filter(Boolean);
}

function known(found) {
  const task = found.task_id && h("a", { href: `#/tasks/${found.task_id}` }, "Its task");
  const tags = found.tags?.length ? found.tags.map((tag) => [h("a", { class: "tag", href: `#/jobs?tag=${encodeURIComponent(tag)}` }, tag), " "]) : null;
  return [
    ["Owner", found.owner], ["Created", ago(found.created_at)], ["Started", found.started_at && ago(found.started_at)],
    ["Ended", found.finished_at && ago(found.finished_at)], ["Took", found.finished_at && taken(found)],
    ["Given up", found.dead_lettered_at && ago(found.dead_lettered_at)], ["Kept until", found.expires_at && ago(found.expires_at)],
    ["Attempts", `${found.attempts} of ${found.max_attempts}`], ["Crashes", found.crashes || null], ["Worker", found.worker],
    ["Time to live", duration(found.ttl_ms)], ["Not before", found.run_after && ago(found.run_after)],
    ["Deadline", found.status === "RUNNING" && found.deadline ? ago(found.deadline) : null],
    ["Queue", found.queue === "normal" ? null : found.queue], ["Order key", found.order_key], ["Tags", tags], ["Run of", task],
  ];
}

function progress(found) {
  const part = found.progress > 1 ? found.progress / 100 : found.progress;
  const label = found.progress_note ?? `${Math.round(part * 100)} %`;
  return h("div", { class: "panel pad stack" }, h("label", { for: "progress" }, label), h("progress", { id: "progress", max: "1", value: part }));
}

function attemptTable(attempts) {
  const made = table("Attempts", [
    { name: "Attempt", kind: "number", cell: (entry) => String(entry.number) },
    { name: "Ended as", cell: (entry) => badge(entry.end) },
    { name: "Worker", cell: (entry) => entry.worker ?? "" },
    { name: "Started", cell: (entry) => ago(entry.started_at) },
    { name: "Ended", cell: (entry) => ago(entry.ended_at) },
    { name: "Why", cell: (entry) => entry.error ?? "" },
  ], "");
  made.show(attempts, (entry) => entry.number);
  return made.element;
}

// The link is asked for once: the picture of a job does not change.
function pictureOf(id, signal) {
  let asked = null;
  return (found) => {
    const { width, height } = found.result;
    const image = h("img", { class: "preview", alt: `What ${found.type} made`, width, height });
    asked ??= get(`api/v1/jobs/${id}/link`, {}, signal, ["url"]);
    asked.then((link) => { image.src = link.url; }).catch(tell);
    return image;
  };
}
