// The few helpers that every script uses.

export const $ = (selector, root = document) => root.querySelector(selector);
export const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];

// Listen on the document for `type` at elements that match, now and later.
export function on(type, selector, handler) {
  document.addEventListener(type, (event) => {
    const element = event.target instanceof Element && event.target.closest(selector);
    if (element) handler(event, element);
  });
}

export const slot = (root, name) => root.querySelector(`[data-slot="${name}"]`);

export function icon(name) {
  const sprite = $('meta[name="icons"]').content;
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("class", "bi");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  use.setAttribute("href", `${sprite}#${name}`);
  svg.append(use);
  return svg;
}

// An element: `el("b", { class: "name" }, "web-01")`.
export function el(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

// A page or fragment of ours. A log-in that ended leads to the log-in form.
export async function ask(url, options = {}) {
  const headers = { "HX-Request": "true", ...options.headers };
  if (options.method === "POST") headers["X-CSRFToken"] = $('meta[name="csrf-token"]').content;
  const answer = await fetch(url, { credentials: "same-origin", ...options, headers });
  const elsewhere = answer.headers.get("HX-Redirect");
  if (elsewhere) location.assign(elsewhere);
  return answer;
}

export function parse(html) {
  return new DOMParser().parseFromString(html, "text/html");
}

// Rows of a table; a parser drops a <tr> that is in no table.
export function parseRows(html) {
  const template = document.createElement("template");
  template.innerHTML = `<table><tbody>${html}</tbody></table>`;
  return [...template.content.querySelectorAll("tr")];
}

export const typing = (target) =>
  target instanceof Element &&
  (target.closest("input:not([type=checkbox], [type=radio]), textarea, select, [contenteditable], [data-screen]") !== null);

export function announce(text) {
  const region = document.getElementById("announce");
  if (region) region.textContent = text;
}

export const plural = (count, one, many) => `${count} ${count === 1 ? one : many}`;
