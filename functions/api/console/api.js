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

/** Read an answer, which must be an object with the members `needs`; `query` leaves out what is empty. */
export const get = (path, query = {}, signal, needs = []) => request("GET", path, { query, signal, needs });

/** Write under a key of its own: after a lost answer the request is sent again, and still has one effect. */
export const postOnce = (path, body, needs) => request("POST", path, { body, key: crypto.randomUUID(), needs });

export const post = (path, body, needs) => request("POST", path, { body, needs });
export const patch = (path, body) => request("PATCH", path, { body });
export const remove = (path) => request("DELETE", path);

/** Writes only while the thing is as it was seen. */
export const postIfVersion = (path, version) => request("POST", path, { version });

/** A token for a name and a password. */
export async function signIn(username, password) {
  const credentials = { grant_type: "password", username, password };
  const grant = await request("POST", "connect/token", { body: credentials, signedIn: false, needs: ["access_token", "expires_in"] });
  const expires = Date.now() + grant.expires_in * 1000;
  keep({ token: grant.access_token, username, role: "User", expires });
  const me = await get("api/v1/me", {}, undefined, ["username", "role"]);
  keep({ token: grant.access_token, username: me.username, role: me.role, expires });
}

async function request(method, path, { query = {}, body, key, version, signal, needs, signedIn = true } = {}) {
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
  const send = () => fetch(address, { ...options, credentials: "omit", cache: "no-store" });
  return checked(await answered(send, key || method === "GET" ? REPEATS : 0), needs);
}

/** An answer that has what its reader needs; a write without `needs` may have none. */
function checked(answer, needs) {
  if (needs === undefined && answer === null) return null;
  if (isObject(answer) && (needs ?? []).every((name) => name in answer && (name !== "content" || isList(answer.content)))) return answer;
  throw unreadable();
}

const isObject = (value) => value !== null && typeof value === "object" && !Array.isArray(value);
const isList = (value) => Array.isArray(value) && value.every(isObject);

/** What is thrown for an answer that is not one of this API. */
export const unreadable = () => new Problem(0, { code: "UNREADABLE", detail: "The API's answer cannot be read." });

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
  let document = null;
  try {
    document = text ? JSON.parse(text) : null;
  } catch {
    if (answer.ok) throw unreadable();
    document = { detail: text.slice(0, 200) };
  }
  if (answer.ok) return document;
  const problem = new Problem(answer.status, isObject(document) ? document : {});
  if (answer.status === 401) signedOut(problem);
  throw problem;
}

function signedOut(problem) {
  if (!current()) return;
  keep(null);
  dispatchEvent(new CustomEvent("signed-out", { detail: problem.message }));
}
