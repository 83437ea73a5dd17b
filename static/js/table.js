// A list by pointer and keys: selection with the bulk bar, row actions and their one menu, the side panel.
import htmx from "htmx.org";
import { $, $$, on, plural, slot } from "./dom.js";
import { confirm } from "./confirm.js";
import { copyText } from "./copy.js";
import { openMenu } from "./menus.js";

const table = () => $("[data-table]");
const rows = () => $$("[data-rows] > tr", table() || document);
const box = (row) => $(".chk-c input", row);
const selected = () => rows().filter((row) => box(row)?.checked);

// --- selection -----------------------------------------------------------------------------------------

let last = null; // the row of the last click, for ranges

function showBulk() {
  const bar = $("[data-bulk]");
  if (!bar) return;
  const chosen = selected();
  bar.hidden = chosen.length === 0;
  slot(bar, "count").textContent = `${chosen.length} selected`;
  for (const button of $$("button[name=action]", bar)) {
    const able = chosen.filter((row) => row.dataset.can.split(" ").includes(button.value)).length;
    button.disabled = able === 0;
    const label = button.dataset.label;
    $("span", button).textContent = able === chosen.length ? label : `${label} ${able}`;
  }
  const all = $("[data-select-all]");
  if (all) {
    all.checked = chosen.length > 0 && chosen.length === rows().length;
    all.indeterminate = chosen.length > 0 && !all.checked;
  }
}

function select(row, on = !box(row).checked) {
  box(row).checked = on;
  last = row;
  showBulk();
}

function clear() {
  selected().forEach((row) => (box(row).checked = false));
  showBulk();
}

function selectRange(row) {
  const all = rows();
  const [from, to] = [all.indexOf(last), all.indexOf(row)].sort((a, b) => a - b);
  all.slice(Math.max(from, 0), to + 1).forEach((r) => (box(r).checked = true));
  showBulk();
}

// One request for all that the action applies to; deleting and stopping ask first.
async function bulk(event, bar) {
  event.preventDefault();
  const button = event.submitter;
  const chosen = selected().filter((row) => row.dataset.can.split(" ").includes(button.value));
  const what = chosen.length === 1 ? chosen[0].dataset.name : plural(chosen.length, bar.dataset.noun, bar.dataset.nouns);
  if (button.dataset.confirmVerb) {
    const many = chosen.length > 5 && button.value === "delete";
    const names = chosen.map((row) => row.dataset.name);
    const shown = names.length > 8 ? [...names.slice(0, 7), `${names.length - 7} more`] : names;
    const yes = await confirm({
      title: `${button.dataset.confirmVerb} ${what}?`,
      text: button.dataset.confirmText,
      verb: `${button.dataset.confirmVerb} ${what}`,
      goes: button.value === "delete" ? shown.join("|") : "",
      type: many ? String(chosen.length) : "",
    });
    if (!yes) return button.focus();
  }
  // Its buttons are called `action`, so the property of that name is theirs.
  send(bar.getAttribute("action"), { action: button.value, ids: chosen.map((row) => row.dataset.id).join(",") });
  clear();
}

// --- actions of a row ----------------------------------------------------------------------------------

function send(url, values) {
  htmx.ajax("POST", url, { source: "body", target: "#toasts", select: "#toasts > *", swap: "beforeend", values });
}

const ASKS = {
  stop: (row) => ({ title: `Stop ${row.name}?`, verb: "Stop instance", text: "The guest is asked to shut down; after a minute it is switched off. Disk and addresses stay." }),
  reboot: (row) => ({ title: `Reboot ${row.name}?`, verb: "Reboot instance", text: "The guest is asked to restart. Connections to it break for a while." }),
  "hard-reboot": (row) => ({ title: `Reset ${row.name} hard?`, verb: "Reset instance", text: "As if the power went: what the guest has not written to its disk is lost." }),
  delete: (row) => ({ title: `Delete ${row.name}?`, verb: "Delete instance", text: "This cannot be undone.", goes: row.goes, stays: row.stays }),
};

async function act(row, action) {
  if (!row.dataset.can.split(" ").includes(action)) return;
  const asks = ASKS[action];
  if (asks && !(await confirm(asks(row.dataset)))) return;
  send(`${row.dataset.url}action/`, { action });
}

const WORDS = { start: ["Start", "play-fill"], stop: ["Stop", "stop-fill"], reboot: ["Reboot", "arrow-clockwise"], delete: ["Delete", "trash3"] };

// For the palette: what can be done with the row under the cursor, or with the only selected one.
export function rowActions() {
  const chosen = selected();
  const row = chosen.length === 1 ? chosen[0] : cursor();
  if (!row?.dataset.can) return [];
  return Object.entries(WORDS)
    .filter(([action]) => row.dataset.can.split(" ").includes(action))
    .map(([action, [label, symbol]]) => ({
      group: `On the selected row, ${row.dataset.name}`,
      label: `${label} ${row.dataset.name}`,
      sub: ASKS[action] ? "asks first" : "",
      icon: symbol,
      run: () => act(row, action),
    }));
}

let menuRow = null;

function showMenu(row, button) {
  const menu = $("#row-menu");
  if (!menu) return;
  menuRow = row;
  const able = row.dataset.can.split(" ");
  for (const item of $$("[data-act]", menu)) item.setAttribute("aria-disabled", !able.includes(item.dataset.act));
  for (const item of $$("[data-go]", menu)) {
    item.href = row.dataset.url + item.dataset.go;
    item.hidden = Boolean(item.dataset.needs) && !able.includes(item.dataset.needs);
  }
  menu.setAttribute("aria-label", `Actions for ${row.dataset.name}`);
  openMenu(menu, button);
}

// --- keys ---------------------------------------------------------------------------------------------

const cursor = () => $("[data-ui-cursor]", table() || document);

function move(step) {
  const all = rows();
  if (!all.length) return;
  const at = all.indexOf(cursor());
  const next = all[Math.min(Math.max(at + step, 0), all.length - 1)];
  cursor()?.removeAttribute("data-ui-cursor");
  next.setAttribute("data-ui-cursor", "");
  $("a, button, input", next)?.focus({ preventScroll: true });
  ($("a.name", next) || $("a, button, input", next))?.focus({ preventScroll: true });
  next.scrollIntoView({ block: "nearest" });
  if ($("[data-panel]")?.childElementCount) openPanel(next);
}

export const tableKeys = {
  j: () => move(1),
  k: () => move(-1),
  x: () => cursor() && box(cursor()) && select(cursor()),
  ".": () => cursor() && showMenu(cursor(), $("[data-row-menu]", cursor())),
  Enter: () => cursor()?.dataset.url && !document.activeElement.matches("a, button") && location.assign(cursor().dataset.url),
  Escape: () => closePanel() || clear(),
};

// --- side panel -----------------------------------------------------------------------------------------

function keepInUrl(id) {
  const query = new URLSearchParams(location.search);
  if (id) query.set("panel", id);
  else query.delete("panel");
  history.replaceState(history.state, "", `${location.pathname}${query.size ? `?${query}` : ""}`);
}

function markOpen(id) {
  for (const row of rows()) row.toggleAttribute("data-ui-open", row.dataset.id === id);
}

async function openPanel(row) {
  if (!row.dataset.panelUrl) return;
  markOpen(row.dataset.id);
  keepInUrl(row.dataset.id);
  await htmx.ajax("GET", row.dataset.panelUrl, { source: "body", target: "#panel", swap: "innerHTML" });
}

function closePanel() {
  const panel = $("[data-panel]");
  if (!panel?.childElementCount) return false;
  const row = $("[data-ui-open]");
  panel.replaceChildren();
  markOpen("");
  keepInUrl("");
  $("a.name", row || document)?.focus({ preventScroll: true });
  return true;
}

function restore() {
  const id = new URLSearchParams(location.search).get("panel");
  const row = id && rows().find((r) => r.dataset.id === id);
  if (row && !$("[data-panel]")?.childElementCount) openPanel(row);
  else if (row) markOpen(id);
}

export function startTable() {
  on("change", ".chk-c input", (event, input) => {
    last = input.closest("tr");
    showBulk();
  });
  on("click", ".chk-c", (event, cell) => {
    const row = cell.closest("tr");
    const onBox = event.target.matches("input");
    if (event.shiftKey && last) selectRange(row);
    else if (!onBox) select(row);
  });
  on("change", "[data-select-all]", (event, all) => {
    rows().forEach((row) => (box(row).checked = all.checked));
    showBulk();
  });
  on("click", "[data-clear-selection]", clear);
  on("submit", "[data-bulk]", bulk);
  on("click", "[data-rows] [data-act]", (event, button) => act(button.closest("tr"), button.dataset.act));
  on("click", "[data-row-menu]", (event, button) => showMenu(button.closest("tr"), button));
  on("click", "#row-menu [data-act]", (event, item) => menuRow && act(menuRow, item.dataset.act));
  on("click", "#row-menu [data-copy-id]", () => menuRow && copyText(menuRow.dataset.id));
  on("click", "[data-rows] > tr", (event, row) => {
    if (event.target.closest("a, button, input, label, .chk-c, [role=link]") || String(getSelection())) return;
    if (row.hasAttribute("data-ui-open")) closePanel();
    else openPanel(row);
  });
  on("click", "[data-close-panel]", closePanel);
  on("click", "[aria-disabled=true]", (event) => event.preventDefault());
  on("submit", "[data-row-form]", (event, form) => {
    event.preventDefault();
    send(event.submitter.formAction, Object.fromEntries(new FormData(form, event.submitter)));
  });
  document.addEventListener("rows:changed", () => {
    showBulk();
    restore();
  });
  document.addEventListener("htmx:afterSwap", (event) => event.detail.target.id === "list" && (showBulk(), restore()));
  restore();
}
