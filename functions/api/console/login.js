// Signing in, and becoming a user.

import { post, Problem, signIn } from "./api.js";
import { fill, h } from "./dom.js";
import { doing, field } from "./parts.js";

/** The page that asks for a name and a password; calls `done` when they were right. */
export function login(app, done, notice = "") {
  const said = h("p", { class: "note is-bad", role: "alert", hidden: !notice }, notice);
  const name = field("Name", h("input", { name: "username", autocomplete: "username", required: true, autocapitalize: "none" }));
  const password = field("Password", h("input", { name: "password", type: "password", autocomplete: "current-password", required: true }));
  const submit = h("button", { type: "submit", class: "primary" }, "Sign in");
  const other = h("button", { type: "button", class: "plain small", on: { click: () => turn(!registering) } }, "Create an account");
  const title = h("h1", {}, "Sign in to Leaseway");
  let registering = false;

  function turn(to) {
    registering = to;
    title.textContent = to ? "Create an account" : "Sign in to Leaseway";
    submit.textContent = to ? "Create and sign in" : "Sign in";
    other.textContent = to ? "I have an account" : "Create an account";
    password.control.autocomplete = to ? "new-password" : "current-password";
    say("");
  }

  function say(text) {
    said.textContent = text;
    said.hidden = !text;
  }

  async function enter() {
    const [username, secret] = [name.control.value.trim(), password.control.value];
    try {
      if (registering) await post("auth/register", { username, password: secret });
      await signIn(username, secret);
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      say(problem.message);
      password.control.select();
      return;
    }
    done();
  }

  const submitted = (event) => {
    event.preventDefault();
    doing(submit, enter);
  };
  fill(app,
    h("main", { class: "login" },
      h("form", { class: "panel pad stack", on: { submit: submitted } },
        h("div", { class: "brand" }, h("img", { src: new URL("icon.svg", import.meta.url), alt: "" }), "Leaseway"),
        title, said, name.element, password.element, h("div", { class: "row" }, submit, other))));
  document.title = "Sign in · Leaseway";
  name.control.focus();
}
