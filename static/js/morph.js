// Make one element like another by the fewest changes, so that focus, text selection and running animations stay.
// What the browser's side owns survives: attributes beginning with data-ui-, aria-expanded, ticking times.

const ours = (name) => name.startsWith("data-ui-") || name === "aria-expanded";

function sameKind(a, b) {
  return a.nodeType === b.nodeType && a.nodeName === b.nodeName && (a.id || "") === (b.id || "");
}

function attributes(old, fresh) {
  let changed = false;
  for (const { name, value } of fresh.attributes) {
    if (ours(name) || old.getAttribute(name) === value) continue;
    old.setAttribute(name, value);
    changed = true;
  }
  for (const { name } of [...old.attributes]) {
    if (ours(name) || fresh.hasAttribute(name)) continue;
    old.removeAttribute(name);
    changed = true;
  }
  return changed;
}

// True when anything differed.
export function morph(old, fresh) {
  if (old.nodeType !== Node.ELEMENT_NODE) {
    if (old.nodeValue === fresh.nodeValue) return false;
    old.nodeValue = fresh.nodeValue;
    return true;
  }
  if (old.matches("time[data-time]") && old.dateTime === fresh.getAttribute("datetime")) return false;
  const self = attributes(old, fresh);
  return children(old, fresh) || self;
}

function children(old, fresh) {
  let changed = false;
  let place = old.firstChild;
  for (const wanted of [...fresh.childNodes]) {
    const named = wanted.id && [...old.children].find((child) => child.id === wanted.id);
    if (named && named !== place) {
      old.insertBefore(named, place);
      place = named;
      changed = true;
    }
    if (place && sameKind(place, wanted)) {
      changed = morph(place, wanted) || changed;
      place = place.nextSibling;
    } else {
      old.insertBefore(document.importNode(wanted, true), place);
      changed = true;
      // A replacement, not an insertion, unless the old node is wanted later by its id.
      if (place && !(place.id && fresh.querySelector(`#${CSS.escape(place.id)}`))) {
        const gone = place;
        place = place.nextSibling;
        gone.remove();
      }
    }
  }
  while (place) {
    const gone = place;
    place = place.nextSibling;
    gone.remove();
    changed = true;
  }
  return changed;
}

// Morph, and put the focus back where its element was replaced by one with the same label.
export function swap(old, fresh) {
  const active = old.contains(document.activeElement) ? document.activeElement : null;
  const label = active && (active.id || active.dataset.act || active.getAttribute("aria-label") || active.textContent);
  const changed = morph(old, fresh);
  if (active && !active.isConnected) {
    const same = [...old.querySelectorAll("a, button, input")].find((e) =>
      [e.id, e.dataset.act, e.getAttribute("aria-label"), e.textContent].includes(label),
    );
    (same || old.querySelector("a, button"))?.focus({ preventScroll: true });
  }
  return changed;
}
