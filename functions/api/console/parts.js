// The parts that views are made of.

import { Problem } from "./api.js";
import { fill, h, sync } from "./dom.js";

const TOAST_MS = 6000;
let toasts = null;

/** Where short messages appear; screen readers read them as they come. */
export function toastArea() {
  toasts = h("div", { class: "toasts", role: "status", "aria-live": "polite" });
  return toasts;
}

/** Say something for a few seconds. */
export function toast(text, kind = "good") {
  const shown = h("div", { class: `toast is-${kind}` }, text);
  toasts?.append(shown);
  setTimeout(() => shown.remove(), kind === "bad" ? TOAST_MS * 2 : TOAST_MS);
}

/** The head of a view: its heading, and what can be done. */
export function head(title, ...actions) {
  return h("div", { class: "head" }, h("h1", { tabindex: "-1" }, title), h("div", { class: "push" }, actions));
}

/** A panel with a heading. `put` replaces what is in it. */
export function panel(title, ...content) {
  const id = `panel-${title.toLowerCase().replaceAll(/[^a-z]+/g, "-")}`;
  return h("section", { class: "panel", "aria-labelledby": id }, h("header", {}, h("h2", { id }, title)), content);
}

/** A button that is busy while its action runs, and tells of a problem. */
export function button(label, action, attributes = {}) {
  const made = h("button", { type: "button", ...attributes, on: { click: () => doing(made, action) } }, label);
  return made;
}

/** Run an action for a button: once at a time, with its problem as a message. Returns whether it went well. */
export async function doing(made, action) {
  if (made.getAttribute("aria-busy") === "true") return false;
  made.setAttribute("aria-busy", "true");
  try {
    await action();
    return true;
  } catch (problem) {
    tell(problem);
    return false;
  } finally {
    made.removeAttribute("aria-busy");
  }
}

/** Show a problem as a message. What is no problem of the API is a bug, and goes on. */
export function tell(problem) {
  if (problem.name === "AbortError") return;
  if (!(problem instanceof Problem)) throw problem;
  if (problem.status !== 401) toast(problem.message, "bad");
}

/** Ask before something is done; resolves to whether it shall be. */
export function confirm(question, explanation, yes, kind = "danger") {
  const dialog = h("dialog", { "aria-labelledby": "question" });
  const { promise, resolve } = Promise.withResolvers();
  // Closed, gone and answered in one step: the event "close" comes later, and a key may be pressed before it.
  const end = (sure) => () => {
    dialog.close();
    dialog.remove();
    resolve(sure);
  };
  dialog.addEventListener("cancel", end(false));
  dialog.addEventListener("close", end(false));
  fill(
    dialog,
    h("div", { class: "stack" },
      h("h2", { id: "question" }, question),
      explanation && h("p", {}, explanation),
      h("div", { class: "row end" },
        h("button", { type: "button", on: { click: end(false) } }, "Keep as it is"),
        h("button", { type: "button", class: kind, on: { click: end(true) } }, yes))),
  );
  document.body.append(dialog);
  dialog.showModal();
  return promise;
}

/**
 * A table that becomes cards on narrow screens. A column is `{name, cell, kind}`; the roles keep it a table for screen
 * readers when its display is another.
 */
export function table(label, columns, empty) {
  const body = h("tbody", { role: "rowgroup" });
  const nothing = h("p", { class: "empty", hidden: true }, empty);
  const headings = columns.map((column) =>
    h("th", { role: "columnheader", scope: "col", class: column.kind }, column.name || h("span", { class: "hidden-text" }, column.hidden)));
  const whole = h("table", { class: "cards", role: "table", "aria-label": label },
    h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, headings)), body);
  const row = (item) => h("tr", { role: "row" }, columns.map((column) =>
    h("td", { role: "cell", class: column.kind, "data-label": column.name || null }, column.cell(item))));
  return {
    element: h("div", { class: "table" }, whole, nothing),
    show(items, keyOf = (item) => item.id) {
      sync(body, items, keyOf, row);
      whole.hidden = items.length === 0;
      nothing.hidden = items.length > 0;
    },
  };
}

/** A labelled control with a hint and a place for what is wrong with it. */
export function field(label, control, { hint, wide, id = `f-${++fields}` } = {}) {
  control.id = id;
  const wrong = h("span", { class: "wrong", id: `${id}-wrong`, role: "alert" });
  const hintId = `${id}-hint`;
  control.setAttribute("aria-describedby", hint ? `${hintId} ${wrong.id}` : wrong.id);
  const element = h("div", { class: wide ? "field wide" : "field" },
    h("label", { for: id }, label), control, hint && h("span", { class: "hint", id: hintId }, hint), wrong);
  return {
    element,
    control,
    complain(text) {
      wrong.textContent = text ?? "";
      if (text) control.setAttribute("aria-invalid", "true");
      else control.removeAttribute("aria-invalid");
    },
  };
}

let fields = 0;

export function select(options, chosen, attributes = {}) {
  const made = h("select", attributes, options.map(([value, label]) => h("option", { value }, label ?? value)));
  made.value = chosen ?? "";
  return made;
}

/** Facts as names and values; a value that is null or undefined is left out. */
export function facts(pairs) {
  const shown = pairs.filter(([, value]) => value !== null && value !== undefined && value !== "");
  return h("dl", { class: "facts" }, shown.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
}

/** Text that may be long, in a box that scrolls and that the keyboard reaches. */
export function box(label, text) {
  return h("pre", { tabindex: "0", role: "region", "aria-label": label }, text);
}
