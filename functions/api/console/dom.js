// Elements without markup: text is only ever text, so nothing that the API answers can become code.

/** An element. `on` holds listeners, `data-*` and `aria-*` are attributes; false, null and undefined leave one out. */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "on") for (const [event, listener] of Object.entries(value)) element.addEventListener(event, listener);
    else if (name === "value") element.value = value;
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value);
  }
  append(element, children);
  return element;
}

function append(element, children) {
  for (const child of children.flat(Infinity)) {
    if (child !== null && child !== undefined && child !== false) element.append(child);
  }
}

/** Give an element other children. */
export function fill(element, ...children) {
  element.replaceChildren();
  append(element, children);
  return element;
}

const kept = new WeakMap();

/**
 * Make a container's children show `items`. What has not changed since the last time keeps its element, so a list that
 * is read every few seconds loses neither the focus nor what is selected in it.
 */
export function sync(container, items, keyOf, render) {
  const before = kept.get(container) ?? new Map();
  const now = new Map();
  for (const item of items) {
    const [key, looks] = [String(keyOf(item)), JSON.stringify(item)];
    const known = before.get(key);
    now.set(key, known?.looks === looks ? known : { looks, element: render(item) });
  }
  const place = focusedPlace(container, before);
  arrange(container, [...now.values()].map((entry) => entry.element));
  kept.set(container, now);
  if (place) now.get(place.key)?.element.querySelector(`[data-focus="${place.name}"]`)?.focus();
}

function focusedPlace(container, entries) {
  const focused = document.activeElement;
  if (!focused || !container.contains(focused)) return null;
  const found = [...entries].find(([, entry]) => entry.element.contains(focused));
  return found && focused.dataset.focus ? { key: found[0], name: focused.dataset.focus } : null;
}

// An element that is where it belongs is not touched: moving it would take the focus away.
function arrange(container, elements) {
  let at = container.firstChild;
  for (const element of elements) {
    if (element === at) at = at.nextSibling;
    else container.insertBefore(element, at);
  }
  while (at) {
    const next = at.nextSibling;
    at.remove();
    at = next;
  }
}
