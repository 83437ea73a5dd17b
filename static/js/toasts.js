// Messages: successes go after 8 s unless pointer or focus is on them, errors stay.
import { $, $$, el, icon, on } from "./dom.js";

const SECONDS = 8;

function watch(toast) {
  if (toast.dataset.uiWatched) return;
  toast.dataset.uiWatched = "1";
  if (toast.dataset.toast === "stay") return;
  let left = SECONDS;
  const timer = setInterval(() => {
    if (!toast.isConnected) return clearInterval(timer);
    if (toast.matches(":hover") || toast.contains(document.activeElement)) return;
    left -= 1;
    if (left <= 0) toast.remove();
  }, 1000);
}

// family: ok, warn or err
export function toast(family, title, text = "") {
  const mark = family === "ok" ? el("span", { class: "dot" }) : icon(family === "err" ? "x-octagon-fill" : "exclamation-triangle-fill");
  const close = el("button", { type: "button", class: "icon-btn", "data-dismiss": true, "aria-label": "Dismiss" }, icon("x-lg"));
  const body = el("div", { class: "grow" }, el("b", {}, title), ...(text ? [el("div", { class: "sub" }, text)] : []));
  $("#toasts")?.append(
    el(
      "div",
      { class: "toast-x", role: family === "err" ? "alert" : "status", "data-toast": family === "err" ? "stay" : String(SECONDS) },
      el("span", { class: `st-${family}` }, mark),
      body,
      close,
    ),
  );
}

export function startToasts() {
  const place = $("#toasts");
  if (!place) return;
  $$("[data-toast]", place).forEach(watch);
  new MutationObserver(() => $$("[data-toast]", place).forEach(watch)).observe(place, { childList: true });
  on("click", "[data-dismiss]", (event, button) => button.closest("[data-toast]").remove());
  document.addEventListener("htmx:sendError", () => toast("err", "The portal does not answer.", "Nothing was done. Try again when the strip says Live."));
  document.addEventListener("htmx:responseError", (event) => {
    if (event.detail.xhr.status >= 500) toast("err", "Something broke here.", "Nothing was done, or not completely. The log has the details.");
  });
}
