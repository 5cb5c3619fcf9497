// Forms from JSON Schema: what a payload may be, as controls; what is given, as a payload.

import { post } from "./api.js";
import { h } from "./dom.js";
import { field, select, toast } from "./parts.js";

/**
 * A form for an object schema: `{element, read, write, complain}`. `read` gives the object, without what was left empty;
 * `complain` shows a refusal beside its member (`a.b`), and tells whether there is one.
 */
export function schemaForm(schema, root = schema) {
  const whole = resolved(schema, root);
  const needed = new Set(whole.required ?? []);
  const members = Object.entries(whole.properties ?? {})
    .map(([name, part]) => [name, member(name, resolved(part, root), needed.has(name), root)]);
  return {
    element: h("div", { class: "form" }, members.map(([, control]) => control.element)),
    read: () => Object.fromEntries(members.map(([name, control]) => [name, control.read()]).filter(([, value]) => value !== undefined)),
    write: (object) => members.forEach(([name, control]) => control.write(object?.[name])),
    complain(path, text) {
      for (const [, control] of members) control.complain("", null);
      const [first, ...rest] = (path ?? "").split(".");
      const found = members.find(([name]) => name === first.replace(/\[.*$/, ""));
      return found ? found[1].complain(rest.join("."), text) : false;
    },
  };
}

/** A schema without its reference and without null. */
function resolved(schema, root) {
  if (schema.$ref) {
    const found = root.$defs[schema.$ref.split("/").at(-1)];
    return { ...resolved(found, root), ...Object.fromEntries(Object.entries(schema).filter(([name]) => name !== "$ref")) };
  }
  const options = schema.anyOf?.filter((option) => option.type !== "null");
  if (options?.length === 1) return { ...schema, anyOf: undefined, ...resolved(options[0], root), default: schema.default };
  return schema;
}

function member(name, schema, required, root) {
  if (schema.type === "object" && schema.properties) return nested(name, schema, required, root);
  if (schema.format === "upload") return upload(name, schema);
  return simple(name, schema, required, ...control(schema, required));
}

function simple(name, schema, required, element, read, write) {
  const made = field(label(name, required), element, { hint: hint(schema), wide: element.tagName === "TEXTAREA" });
  const initial = schema.default ?? schema.examples?.[0];
  if (initial !== undefined && initial !== null) write(initial);
  return {
    element: made.element,
    read,
    write: (value) => { if (value !== undefined && value !== null) write(value); },
    complain(_, text) {
      made.complain(text);
      if (text) element.focus();
      return true;
    },
  };
}

const label = (name, required) => `${name.replaceAll("_", " ")}${required ? "" : " (optional)"}`;

function hint(schema) {
  const bounds = schema.minimum !== undefined && schema.maximum !== undefined ? `${schema.minimum} to ${schema.maximum}` : "";
  return [schema.description?.replaceAll(/\s+/g, " ").replaceAll("`", ""), bounds].filter(Boolean).join("; ");
}

function control(schema, required) {
  if (schema.enum) {
    const options = [...(required || schema.default ? [] : [["", "–"]]), ...schema.enum.map((value) => [value])];
    return text(select(options, schema.default));
  }
  if (schema.type === "boolean") {
    const box = h("input", { type: "checkbox" });
    return [box, () => box.checked, (value) => { box.checked = value; }];
  }
  if (schema.type === "integer" || schema.type === "number") return number(schema, required);
  if (schema.format === "date-time") return moment();
  if (schema.type === "array" && schema.items?.type === "string") return lines(required);
  if (schema.type === "string") {
    return text(h("input", { required, maxlength: schema.maxLength, minlength: schema.minLength, pattern: schema.pattern }));
  }
  return anything(required);
}

const text = (element) => [element, () => element.value.trim() || undefined, (value) => { element.value = value; }];

function number(schema, required) {
  const step = schema.type === "integer" ? 1 : "any";
  const element = h("input", { type: "number", min: schema.minimum, max: schema.maximum, step, required });
  return [element, () => (element.value === "" ? undefined : Number(element.value)), (value) => { element.value = value; }];
}

function moment() {
  const element = h("input", { type: "datetime-local" });
  return [element, () => (element.value ? new Date(element.value).toISOString() : undefined), () => {}];
}

function lines(required) {
  const element = h("textarea", { rows: 3, required, placeholder: "One a line" });
  const read = () => element.value.split("\n").map((line) => line.trim()).filter(Boolean);
  return [element, () => (read().length ? read() : undefined), (value) => { element.value = value.join("\n"); }];
}

// What has no control of its own is written as JSON; what is none is sent as text, and the API says what it should be.
function anything(required) {
  const element = h("textarea", { rows: 3, required, placeholder: "JSON" });
  const read = () => {
    if (!element.value.trim()) return undefined;
    try {
      return JSON.parse(element.value);
    } catch {
      return element.value;
    }
  };
  return [element, read, (value) => { element.value = JSON.stringify(value, null, 2); }];
}

function nested(name, schema, required, root) {
  const inner = schemaForm(schema, root);
  const example = schema.default ?? schema.examples?.[0];
  if (example) inner.write(example);
  const read = () => {
    const value = inner.read();
    return Object.keys(value).length || required ? value : undefined;
  };
  const says = schema.description?.replaceAll(/\s+/g, " ");
  const wrong = h("p", { class: "wrong", role: "alert" });
  return {
    element: h("fieldset", { class: "wide stack" }, h("legend", {}, label(name, required)), says && h("p", { class: "quiet" }, says), inner.element, wrong),
    read,
    write: (value) => { if (value) inner.write(value); },
    complain(path, message) {
      const shown = inner.complain(path, message);
      wrong.textContent = !shown && message ? message : "";
      return true;
    },
  };
}

/** The key of an object of one's own: typed, or that of a picture that is chosen here and put into the bucket. */
function upload(name, schema) {
  const key = h("input", { maxlength: schema.maxLength });
  const made = simple(name, schema, false, ...text(key));
  const picker = h("input", { type: "file", accept: "image/*", on: { change: () => send(picker, key) } });
  const chosen = field("Upload a picture", picker, { hint: "It goes to the bucket, and its key into the field beside this." });
  return { ...made, element: [made.element, chosen.element] };
}

async function send(picker, key) {
  const [file] = picker.files;
  if (!file) return;
  picker.setAttribute("aria-busy", "true");
  try {
    const leave = await post("api/v1/uploads", { content_type: file.type, size: file.size });
    const form = new FormData();
    for (const [name, value] of Object.entries(leave.fields)) form.append(name, value);
    form.append("file", file);
    const answer = await fetch(leave.url, { method: leave.method, body: form, credentials: "omit" });
    if (!answer.ok) throw new Error(`The bucket refused it (${answer.status}).`);
    key.value = leave.key;
    key.dispatchEvent(new Event("change", { bubbles: true }));
    toast("Uploaded.");
  } catch (problem) {
    toast(problem.message, "bad");
  } finally {
    picker.removeAttribute("aria-busy");
  }
}
