// Balances: one account at a time, its ledger, and changes of it.

import { get, post, postOnce, Problem } from "./api.js";
import { fill, h } from "./dom.js";
import { ago, money } from "./format.js";
import { button, confirm, doing, field, head, panel, table, tell, toast } from "./parts.js";
import { polling } from "./poll.js";
import { current, isAdmin } from "./session.js";

const SECONDS = 3;
const SIZE = 20;

export function balances(outlet, { id, signal }) {
  const user = id ?? (isAdmin() ? "" : current().username);
  const look = field("User id", h("input", { value: user, required: true, autocapitalize: "none", spellcheck: "false" }));
  const find = (event) => {
    event.preventDefault();
    location.hash = `#/balances/${encodeURIComponent(look.control.value.trim())}`;
  };
  const search = h("form", { class: "panel pad filters", role: "search", on: { submit: find } },
    look.element, h("div", { class: "row" }, h("button", { type: "submit" }, "Look up"), button("Open an account", () => open(look), { class: "plain" })));
  const place = h("div", { class: "stack" });
  fill(outlet, head("Balances"), isAdmin() && search, place);
  return user ? account(place, user, signal) : null;
}

async function open(look) {
  const user = look.control.value.trim();
  if (!user) return look.complain("Say whose.");
  if (!await confirm(`Open an account for ${user}?`, "It begins with nothing.", "Open it", "primary")) return;
  try {
    await postOnce("api/users", { userId: user });
  } catch (problem) {
    if (problem?.code !== "OWNER_REQUIRED") throw problem;
    if (!await confirm(`A user is called ${user}.`, "Is the account theirs? They will see its balance and can spend it.", "Open it for them", "primary")) return;
    await postOnce("api/users", { userId: user, owner: user });
  }
  toast("Opened.");
  location.hash = `#/balances/${encodeURIComponent(user)}`;
}

function account(place, user, signal) {
  const path = `api/users/${encodeURIComponent(user)}`;
  const shown = h("div", { class: "pad stack", "aria-live": "polite" }, "Reading …");
  const older = [];
  let next = null;
  const entries = ledgerTable((entry) => reverse(entry, () => read()));
  const more = button("Older entries", async () => {
    const page = await get(`${path}/ledger`, { size: SIZE, cursor: next }, signal, ["content"]);
    older.push(...page.content);
    next = page.cursor;
    await read();
  }, { hidden: true });
  const whole = [panel(`Account of ${user}`, shown), isAdmin() && changePanel(user, () => read()),
    panel("Ledger", entries.element, h("div", { class: "pad row" }, more))];

  const read = polling(async () => {
    const [found, page] = await Promise.all([get(`${path}/balance`, {}, signal, ["balance", "currency"]), get(`${path}/ledger`, { size: SIZE }, signal, ["content"])]);
    if (place.childElementCount !== whole.filter(Boolean).length) fill(place, whole);
    show(found);
    const newest = new Set(page.content.map((entry) => entry.entry));
    entries.show([...page.content, ...older.filter((entry) => !newest.has(entry.entry))], (entry) => entry.entry);
    if (older.length === 0) next = page.cursor;
    more.hidden = !next;
  }, SECONDS, signal, (problem) => {
    if (problem?.status === 404) fill(place, h("p", { class: "empty panel" }, `${user} has no account.`));
    else if (problem) fill(place, h("p", { class: "note is-bad" }, problem.message));
  });

  let seen = "";
  function show(found) {
    if (seen === `${found.version}`) return;
    seen = `${found.version}`;
    fill(shown, h("p", { class: "big", "data-balance": found.balance }, money(found.balance, found.currency)),
      h("p", { class: "quiet" }, `Version ${found.version}, changed `, ago(found.updated_at)));
  }

  return read.first;
}

function changePanel(user, done) {
  const amount = field("Amount", h("input", { required: true, inputmode: "decimal", pattern: "[+\\-]?[0-9]+([.][0-9]+)?", placeholder: "-30.25" }),
    { hint: "Added to the balance; a minus takes away" });
  const reference = field("Reference (optional)", h("input", { maxlength: 200 }));
  const submit = h("button", { type: "submit", class: "primary" }, "Update the balance");
  const said = h("p", { class: "note is-bad", role: "alert", hidden: true });

  async function send() {
    said.hidden = true;
    amount.complain(null);
    const wanted = { userId: user, amount: amount.control.value.trim().replace(/^\+/, "") };
    if (reference.control.value.trim()) wanted.reference = reference.control.value.trim();
    try {
      const found = await postOnce("api/users/update-balance", wanted, ["balance", "currency"]);
      toast(`The balance is ${money(found.balance, found.currency)}.`);
      for (const part of [amount, reference]) part.control.value = "";
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      if (problem.field === "amount") return amount.complain(problem.message);
      said.textContent = (problem.document.balance ?? null) === null ? problem.message : `${problem.message} It is ${problem.document.balance}.`;
      said.hidden = false;
    }
    await done();
  }

  const submitted = (event) => {
    event.preventDefault();
    doing(submit, send);
  };
  return panel("Update the balance", h("form", { class: "pad stack", on: { submit: submitted } },
    h("div", { class: "form" }, amount.element, reference.element), said, h("div", { class: "row" }, submit)));
}

function ledgerTable(takeBack) {
  return table("Ledger", [
    { name: "Version", kind: "number", cell: (entry) => String(entry.version) },
    { name: "Amount", kind: "number", cell: (entry) => h("span", { class: entry.amount < 0 ? "negative" : "positive" }, `${entry.amount > 0 ? "+" : ""}${money(entry.amount, entry.currency)}`) },
    { name: "Balance after", kind: "number", cell: (entry) => money(entry.balance_after, entry.currency) },
    { name: "Kind", cell: (entry) => entry.kind },
    { name: "Reference", cell: (entry) => entry.reference ?? "" },
    { name: "By", cell: (entry) => entry.actor ?? "" },
    { name: "When", cell: (entry) => ago(entry.at) },
    ...(isAdmin() ? [{ hidden: "Actions", kind: "actions", cell: (entry) => entry.kind !== "reversal" && Number(entry.amount) !== 0
      && button("Take back", () => takeBack(entry), { class: "small", "data-focus": "act", "aria-label": `Take back version ${entry.version}` }) }] : []),
  ], "No change yet.");
}

async function reverse(entry, done) {
  if (!await confirm(`Take back version ${entry.version}?`, "A new entry undoes it; nothing is erased. Both sides of a transfer are taken back.", "Take it back")) return;
  try {
    await post(`api/v1/ledger/${encodeURIComponent(entry.entry)}/reversal`);
    toast("Taken back.");
  } catch (problem) {
    tell(problem);
  }
  await done();
}
