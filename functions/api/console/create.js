// A new job: its type, then a form drawn from that type's schema.

import { get, postOnce, Problem } from "./api.js";
import { fill, h } from "./dom.js";
import { defaultsOf } from "./format.js";
import { doing, field, head, select, tell, toast } from "./parts.js";
import { schemaForm } from "./schema_form.js";

const CHOSEN_FIRST = "IMAGE_RESIZE";

export async function createJob(outlet, { query, signal }) {
  const form = h("form", { class: "stack" });
  fill(outlet, head("Create a job"), h("section", { class: "panel pad", "aria-label": "New job" }, form));
  const [types, pattern] = await Promise.all([
    get("api/v1/job-types", {}, signal, ["content", "job"]),
    query.from ? get(`api/v1/jobs/${query.from}`, {}, signal, ["type"]).catch(tell) : null,
  ]);
  const names = types.content.map((kind) => kind.name);
  // The pattern may be of a type that is not deployed any more.
  const first = [pattern?.type, query.type, CHOSEN_FIRST].find((name) => names.includes(name)) ?? names[0];
  const type = field("Type", select(names.map((name) => [name]), first, { on: { change: () => turn() } }), { wide: true });
  const summary = h("p", { class: "quiet" });
  const place = h("div");
  const options = schemaForm(optionsOf(types.job));
  const said = h("p", { class: "note is-bad", role: "alert", hidden: true });
  const submit = h("button", { type: "submit", class: "primary" }, "Create the job");
  const more = h("details", { class: "stack" }, h("summary", {}, "Time to live, attempts, delay and more"), h("div", { class: "pad" }, options.element));
  let payload = null;

  function turn() {
    const kind = types.content.find((found) => found.name === type.control.value);
    payload = schemaForm(kind.payload);
    summary.textContent = `${kind.summary}. ${defaultsOf(kind)}`;
    fill(place, payload.element);
  }

  async function send() {
    said.hidden = true;
    const chosen = type.control.value;
    try {
      const made = await postOnce("api/v1/jobs", { type: chosen, payload: payload.read(), ...options.read() }, ["id"]);
      toast("Created.");
      location.hash = `#/jobs/${made.id}`;
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      refused(problem);
    }
  }

  function refused(problem) {
    const [first, ...rest] = (problem.field ?? "").split(".");
    const shown = first === "payload" ? payload.complain(rest.join("."), problem.message) : options.complain(problem.field, problem.message);
    if (first !== "payload" && shown) more.open = true;
    said.textContent = problem.message;
    said.hidden = shown;
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    doing(submit, send);
  });
  fill(form, type.element, summary, place, more, said, h("div", { class: "row" }, submit));
  turn();
  if (pattern?.payload && pattern.type === first) payload.write(pattern.payload);
}

/** The schema of a new job without what stands above: only what may be said of any job. */
function optionsOf(schema) {
  const whole = schema.$defs.NewJob;
  const properties = Object.fromEntries(Object.entries(whole.properties).filter(([name]) => name !== "type" && name !== "payload"));
  return { ...whole, properties, required: [], $defs: schema.$defs };
}
