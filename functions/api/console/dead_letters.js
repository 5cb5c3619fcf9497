// Jobs that no worker could settle, and trying them again.

import { get, post } from "./api.js";
import { fill, h } from "./dom.js";
import { ago, shortId, whole } from "./format.js";
import { button, confirm, head, table, toast } from "./parts.js";
import { polling } from "./poll.js";

const SECONDS = 5;

export function deadLetters(outlet, { query, signal }) {
  const told = h("p", { class: "quiet", "aria-live": "polite" }, "Reading …");
  const listed = table("Dead letters", [
    { name: "Job", cell: (job) => h("a", { href: `#/jobs/${job.id}`, "data-focus": "job" }, job.type, " ", h("span", { class: "mono" }, shortId(job.id))) },
    { name: "Owner", cell: (job) => job.owner },
    { name: "Given up", cell: (job) => ago(job.dead_lettered_at ?? job.finished_at) },
    { name: "Why", cell: (job) => job.error_message ?? "" },
    { hidden: "Actions", kind: "actions", cell: (job) => button("Replay", () => replay(job), { class: "small", "data-focus": "act", "aria-label": `Replay ${job.type} ${shortId(job.id)}` }) },
  ], "Nothing was given up.");
  const pager = h("div", { class: "row" });
  const all = button("Replay all", replayAll, { hidden: true });
  fill(outlet, head("Dead letters", all), h("section", { class: "panel", "aria-label": "List" }, h("header", {}, told), listed.element), pager);

  const read = polling(async () => {
    const page = await get("api/v1/dead-letters", { size: 50, cursor: query.cursor }, signal, ["content"]);
    listed.show(page.content);
    told.textContent = "Jobs whose message was delivered too often without a claim that settled it.";
    all.hidden = page.content.length === 0;
    fill(pager, page.cursor && h("a", { class: "button", href: `#/dead-letters?${new URLSearchParams({ cursor: page.cursor })}` }, "Older"));
  }, SECONDS, signal, (problem) => {
    if (problem) told.textContent = problem.message;
  });

  async function replay(job) {
    if (!await confirm("Replay this job?", "It becomes CREATED again under its id, with attempts of its own.", "Replay", "primary")) return;
    try {
      await post(`api/v1/dead-letters/${job.id}/replay`);
      toast("It is tried again.");
    } finally {
      await read();
    }
  }

  async function replayAll() {
    if (!await confirm("Replay all dead letters?", "They start one after another, at a pace that floods nobody.", "Replay all", "primary")) return;
    let [replayed, left] = [0, 1];
    while (left > 0) {
      const done = await post("api/v1/dead-letters/replay", undefined, ["replayed", "left"]);
      replayed += done.replayed;
      left = done.replayed ? done.left : 0;
    }
    toast(`${whole(replayed)} replayed.`);
    await read();
  }

  return read.first;
}
