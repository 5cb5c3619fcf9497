// Where the API is, and who is signed in. The token lives in this tab's session storage: never in an address, gone with
// the tab.

/** This module is at console/<version>/session.js of the API. */
export const root = new URL("../../", import.meta.url);

const place = `leaseway:${root.pathname}`;
let held = read();

function read() {
  try {
    const found = JSON.parse(sessionStorage.getItem(place));
    return found && found.expires > Date.now() ? found : null;
  } catch {
    return null;
  }
}

/** `{token, username, role, expires}`, or null. */
export const current = () => held;

export const isAdmin = () => held?.role === "Admin";

/** Keep a session; null ends it. */
export function keep(session) {
  held = session;
  try {
    if (session) sessionStorage.setItem(place, JSON.stringify(session));
    else sessionStorage.removeItem(place);
  } catch {
    // A browser that keeps nothing has the session until the page is left.
  }
}
