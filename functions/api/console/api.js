// Requests: the token on each, problems as exceptions, a key on what must not be done twice.

import { current, keep, root } from "./session.js";

const REPEATS = 2;

/** The API's refusal (RFC 9457), or what kept its answer away: then `status` is 0. */
export class Problem extends Error {
  constructor(status, document) {
    super(document.detail || document.title || document.error_description || "The API did not say why.");
    this.status = status;
    this.code = document.code ?? document.error ?? "";
    this.field = document.field ?? null;
    this.document = document;
  }
}

/** Reads; `query` leaves out what is empty. */
export const get = (path, query = {}, signal) => request("GET", path, { query, signal });

/** Writes under a key of its own: after a lost answer it is sent again, and still done once. */
export const postOnce = (path, body) => request("POST", path, { body, key: crypto.randomUUID() });

export const post = (path, body) => request("POST", path, { body });
export const patch = (path, body) => request("PATCH", path, { body });
export const remove = (path) => request("DELETE", path);

/** Writes only while the thing is as it was seen. */
export const postIfVersion = (path, version) => request("POST", path, { version });

/** A token for a name and a password. */
export async function signIn(username, password) {
  const asked = { grant_type: "password", username, password };
  const given = await request("POST", "connect/token", { body: asked, signedIn: false });
  const expires = Date.now() + given.expires_in * 1000;
  keep({ token: given.access_token, username, role: "User", expires });
  const me = await get("api/v1/me");
  keep({ token: given.access_token, username: me.username, role: me.role, expires });
}

async function request(method, path, { query = {}, body, key, version, signal, signedIn = true } = {}) {
  const address = new URL(path, root);
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined && value !== null && value !== "") address.searchParams.set(name, value);
  }
  const headers = {};
  if (signedIn && current()) headers.authorization = `Bearer ${current().token}`;
  if (body !== undefined) headers["content-type"] = "application/json";
  if (key) headers["idempotency-key"] = key;
  if (version !== undefined) headers["if-match"] = `"${version}"`;
  const options = { method, headers, body: body === undefined ? undefined : JSON.stringify(body), signal };
  return answered(() => fetch(address, { ...options, credentials: "omit", cache: "no-store" }), key || method === "GET" ? REPEATS : 0);
}

async function answered(send, repeats) {
  for (let left = repeats; ; left -= 1) {
    const answer = await sent(send);
    if (answer instanceof Problem ? left === 0 : answer.status !== 503 || left === 0) return content(answer);
    await new Promise((resolve) => setTimeout(resolve, 1000));
  }
}

async function sent(send) {
  try {
    return await send();
  } catch (failure) {
    if (failure.name === "AbortError") throw failure;
    return new Problem(0, { code: "UNREACHABLE", detail: "The API does not answer. Is the network there?" });
  }
}

async function content(answer) {
  if (answer instanceof Problem) throw answer;
  const text = await answer.text();
  let found = null;
  try {
    found = text ? JSON.parse(text) : null;
  } catch {
    found = { detail: text.slice(0, 200) };
  }
  if (answer.ok) return found;
  const problem = new Problem(answer.status, found ?? {});
  if (answer.status === 401) signedOut(problem);
  throw problem;
}

function signedOut(problem) {
  if (!current()) return;
  keep(null);
  dispatchEvent(new CustomEvent("signed-out", { detail: problem.message }));
}
