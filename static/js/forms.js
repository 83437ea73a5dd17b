// Forms: Ctrl Enter sends, a refusal takes the focus, leaving with changes asks, a pressed button waits.
import { $, $$, on } from "./dom.js";

function quote(value) {
  return /^[\w@%+=:,./-]+$/.test(value) ? value : `'${value.replaceAll("'", "'\\''")}'`;
}

// "Same as a command": `{name}` is a field's value, `{a?text }` is the text when field `a` has one.
function command(form) {
  const value = (name) => form.elements[name]?.value?.trim() || "";
  return form.dataset.commandTemplate
    .replace(/\{(\w+)\?([^}]*)\}/g, (all, name, text) => (value(name) ? text : ""))
    .replace(/\{(\w+)\}/g, (all, name) => (value(name) ? quote(value(name)) : name.toUpperCase()))
    .trim();
}

export function startForms() {
  $("[data-error-summary]")?.focus();
  on("keydown", "form", (event, form) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit($("[data-submit]", form));
  });
  for (const form of $$("[data-command-template]")) {
    const show = () => ($("[data-command]", form).textContent = command(form));
    form.addEventListener("input", show);
    show();
  }
  let changed = false;
  for (const form of $$("[data-guard]")) {
    form.addEventListener("input", () => (changed = true));
    form.addEventListener("submit", () => (changed = false));
  }
  addEventListener("beforeunload", (event) => changed && event.preventDefault());
  document.addEventListener("submit", (event) => {
    const button = event.submitter;
    if (!button || event.target.method === "dialog") return;
    setTimeout(() => {
      if (event.defaultPrevented) return; // a script sends it
      button.disabled = true; // now that the browser has read the button's value
      setTimeout(() => (button.disabled = false), 8000);
    });
  });
  const waits = (disabled) => (event) => {
    const button = event.detail.requestConfig?.triggeringEvent?.submitter;
    if (button) button.disabled = disabled;
  };
  // htmx forgets the button that sent a form when it has lost the focus by then, or says its type only by default.
  document.addEventListener("htmx:configRequest", (event) => {
    const button = event.detail.triggeringEvent?.submitter;
    if (button?.name) event.detail.parameters[button.name] = button.value;
    if (button?.hasAttribute("formaction")) event.detail.path = button.formAction;
  });
  document.addEventListener("htmx:beforeSend", waits(true));
  document.addEventListener("htmx:afterRequest", waits(false));
  on("submit", "[data-theme-form]", (event, form) => {
    event.preventDefault();
    const theme = event.submitter.value;
    document.cookie = `theme=${theme}; path=/; max-age=31536000; samesite=lax`;
    const root = document.documentElement;
    root.dataset.theme = theme;
    const dark = theme === "dark" || (theme === "system" && matchMedia("(prefers-color-scheme: dark)").matches);
    root.dataset.bsTheme = dark ? "dark" : "light";
    for (const button of $$("button", form)) button.toggleAttribute("aria-current", button === event.submitter);
    $("button[aria-current]", form)?.setAttribute("aria-current", "true");
    fetch(form.action, { method: "POST", body: new FormData(form, event.submitter), headers: { "HX-Request": "true" } });
  });
  on("click", ".pick tr", (event, row) => {
    const choice = $("input[type=radio]", row);
    if (choice && !choice.disabled && event.target !== choice) choice.click();
  });
  // A table wider than its card can be scrolled by keys, where nothing in it takes the focus.
  const reach = () => {
    for (const wide of $$(".tw"))
      if (wide.scrollWidth > wide.clientWidth && !$("a, button, input", wide)) wide.tabIndex = 0;
      else wide.removeAttribute("tabindex");
  };
  reach();
  for (const event of ["resize", "live:changed", "rows:changed"]) addEventListener(event, reach);
  for (const log of $$("[data-stick-to-end]")) log.scrollTop = log.scrollHeight;
}
