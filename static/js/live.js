// The page follows the cloud. One websocket tells *that* something changed; what it is, is fetched as HTML.
//
//   data-live-list="instance" data-live-url="..."   a list; `?ids=a,b` there answers these rows
//   data-live="instance:<id>"                       a row of it
//   data-live-detail="instance:<id>"                its parts (data-live-part, with an id) are fetched with the page,
//                                                   or from data-live-url
//   data-live-page="port network" or "*"            swapped as a whole when a model of these changes
import htmx from "htmx.org";
import { $, $$, announce, ask, el, parse, parseRows, plural } from "./dom.js";
import { swap } from "./morph.js";
import { refreshTimes, span } from "./times.js";

const GATHER = 50; // ms: messages within share one request
const SILENCE = 35_000; // ms without a beat (they come every 15 s): the socket is dead
const FLASH = 900; // ms
const ENDED = 4401; // the log-in ended

// Runs `work` soon, at most one at a time; a call meanwhile causes one more run.
function oneAtATime(work, delay) {
  let timer = null;
  let running = false;
  let again = false;
  async function run() {
    timer = null;
    running = true;
    try {
      await work();
    } finally {
      running = false;
      if (again) {
        again = false;
        ring();
      }
    }
  }
  function ring() {
    if (running) again = true;
    else timer ??= setTimeout(run, delay);
  }
  return ring;
}

// --- rows ---------------------------------------------------------------------------------------------

const wanted = new Set(); // ids of rows to fetch
const list = () => $("[data-live-list]");
const rowOf = (id) => document.querySelector(`[data-live-list] [data-live$=":${CSS.escape(id)}"]`);

// While pointer or focus is in the table, nothing moves under them.
const engaged = (table) => table.matches(":hover") || table.contains(document.activeElement);

function flash(row) {
  delete row.dataset.uiFlash;
  requestAnimationFrame(() => (row.dataset.uiFlash = "1"));
  setTimeout(() => delete row.dataset.uiFlash, FLASH);
}

function update(row, fresh) {
  const before = row.dataset.status;
  swap(row, fresh);
  if (row.dataset.status !== before) flash(row);
  if (row.dataset.uiOpen) document.dispatchEvent(new CustomEvent("row:changed", { detail: row }));
}

function close(row) {
  row.dataset.uiLeaving = "1";
  setTimeout(() => {
    row.remove();
    document.dispatchEvent(new CustomEvent("rows:changed", { bubbles: true }));
  }, 400);
}

async function fetchRows() {
  const table = list();
  const ids = [...wanted].filter(rowOf).slice(0, 200);
  wanted.clear();
  if (!table || !ids.length) return;
  const query = new URLSearchParams(location.search);
  query.delete("page");
  query.set("ids", ids.join(","));
  const answer = await ask(`${table.dataset.liveUrl}?${query}`);
  if (!answer.ok) return;
  const fresh = new Map(parseRows(await answer.text()).map((row) => [row.id, row]));
  let order = false;
  for (const id of ids) {
    const row = rowOf(id);
    if (!row) continue;
    const now = fresh.get(row.id);
    if (now) {
      order ||= now.dataset.status !== row.dataset.status;
      update(row, now);
    } else order = true; // gone, or no longer what the filter asks for: the list says
  }
  refreshTimes(table);
  document.dispatchEvent(new CustomEvent("rows:changed", { bubbles: true }));
  if (order) fetchListSoon();
}

// The whole list again: new rows, their places, rows that left, footer and counts.
async function fetchList() {
  const table = list();
  if (!table) return;
  const url = location.href;
  const answer = await ask(url);
  if (!answer.ok) return;
  const fresh = parse(await answer.text()).getElementById(table.id);
  if (url !== location.href) return fetchListSoon(); // filtered or sorted anew meanwhile
  const now = list();
  if (!fresh || !now) return;
  const body = $("[data-rows]", now);
  const wantedBody = $("[data-rows]", fresh);
  if (!body || !wantedBody) {
    now.replaceWith(document.importNode(fresh, true));
  } else {
    placeRows(now, body, wantedBody);
    const footer = $(":scope > footer", now);
    const wantedFooter = $(":scope > footer", fresh);
    if (footer && wantedFooter) swap($("span", footer), $("span", wantedFooter));
    Object.assign(now.dataset, { total: fresh.dataset.total, matched: fresh.dataset.matched });
  }
  refreshTimes(list());
  htmx.process(list());
  document.dispatchEvent(new CustomEvent("rows:changed", { bubbles: true }));
}

let forced = false; // the person asked for the order
let held = new Set(); // rows that would move or leave

function placeRows(table, body, wantedBody) {
  const fresh = [...wantedBody.rows];
  const keep = engaged(body) && !forced;
  forced = false;
  held = new Set();
  const freshIds = new Set(fresh.map((row) => row.id));
  for (const row of [...body.rows]) {
    if (freshIds.has(row.id) || row.dataset.uiLeaving) continue;
    if (!keep || gone.has(row.dataset.id)) close(row);
    else held.add(row.id);
  }
  const present = () => [...body.rows].filter((row) => freshIds.has(row.id));
  let before = null;
  fresh.forEach((wantedRow) => {
    let row = document.getElementById(wantedRow.id);
    if (row) update(row, wantedRow);
    else {
      row = document.importNode(wantedRow, true);
      if (before) before.after(row);
      else body.prepend(row);
      flash(row);
    }
    before = row;
  });
  present().forEach((row, index) => {
    if (row.id === fresh[index].id) return;
    if (keep) held.add(row.id);
    else body.insertBefore(document.getElementById(fresh[index].id), present()[index]);
  });
  const button = $("[data-refresh-order]", table);
  if (button) {
    button.hidden = held.size === 0;
    button.textContent = `${plural(held.size, "change", "changes")}, refresh order`;
  }
}

const fetchRowsSoon = oneAtATime(fetchRows, GATHER);
const fetchListSoon = oneAtATime(fetchList, GATHER);
const gone = new Set(); // ids that a message said were deleted

// --- details and whole sections -----------------------------------------------------------------------

const stale = new Set();

async function fetchParts() {
  const roots = [...stale].filter((root) => root.isConnected);
  stale.clear();
  for (const url of new Set(roots.map((root) => root.dataset.liveUrl || location.href))) {
    const answer = await ask(url);
    const mine = roots.filter((root) => (root.dataset.liveUrl || location.href) === url);
    if (answer.status === 404) mine.forEach(left);
    if (!answer.ok) continue;
    const page = parse(await answer.text());
    for (const root of mine) {
      const parts = root.matches("[data-live-page]") ? [root] : $$("[data-live-part]", root);
      for (const part of parts) {
        const fresh = page.getElementById(part.id);
        if (fresh && !part.contains(openMenu())) swap(part, fresh);
        else if (!fresh && root.matches("[data-live-page]")) location.reload();
      }
      refreshTimes(root);
      htmx.process(root);
      root.dispatchEvent(new CustomEvent("live:changed", { bubbles: true }));
    }
  }
}

const openMenu = () => $("[popover]:popover-open");

function left(root) {
  if (root.closest("[data-panel]")) root.remove();
  else location.assign($(".crumbs a")?.href || "/");
}

const fetchPartsSoon = oneAtATime(fetchParts, GATHER);

function markStale(model, id) {
  for (const root of $$("[data-live-detail]")) if (root.dataset.liveDetail === `${model}:${id}`) stale.add(root);
  for (const root of $$("[data-live-page]"))
    if (root.dataset.livePage === "*" || root.dataset.livePage.split(" ").includes(model)) stale.add(root);
  if (stale.size) fetchPartsSoon();
}

// --- the frame ----------------------------------------------------------------------------------------

async function fetchCounts() {
  const nav = $("[data-counts-url]");
  if (!nav) return;
  const answer = await ask(nav.dataset.countsUrl);
  if (!answer.ok) return;
  for (const fresh of $$("[id]", parse(await answer.text()).body)) {
    const old = document.getElementById(fresh.id);
    if (old) swap(old, fresh);
  }
  refreshTimes($(".strip"));
  document.dispatchEvent(new CustomEvent("live:counts"));
}

const fetchCountsSoon = oneAtATime(fetchCounts, 250);

const SAID = { active: "active", error: "in error", shutoff: "stopped", deleted: "deleted", down: "down" };
let heard = new Map(); // word -> names, said together

function say(message) {
  const word = SAID[(message.status || "").toLowerCase()];
  if (!word || message.action === "step" || !message.name) return;
  if (!heard.size)
    setTimeout(() => {
      announce([...heard].map(([w, names]) => `${names.size > 1 ? `${names.size} resources` : [...names][0]} ${w}`).join(", "));
      heard = new Map();
    }, 1000);
  heard.set(word, (heard.get(word) || new Set()).add(message.name));
}

function changed(message) {
  const table = list();
  if (table?.dataset.liveList.split(" ").includes(message.model)) {
    const isGone = message.action === "delete" || (message.status || "").toUpperCase() === "DELETED";
    if (isGone) gone.add(message.id);
    if (rowOf(message.id) && !isGone) {
      wanted.add(message.id);
      fetchRowsSoon();
    } else if (message.action !== "step") fetchListSoon();
  }
  markStale(message.model, message.id);
  if (message.action !== "step") fetchCountsSoon();
  say(message);
}

function everything() {
  if (list()) fetchListSoon();
  for (const root of $$("[data-live-detail], [data-live-page]")) stale.add(root);
  if (stale.size) fetchPartsSoon();
  fetchCountsSoon();
}

// --- the socket -----------------------------------------------------------------------------------------

const arc = $("#live-state .spin");

function show(state, text) {
  const place = $("#live-state");
  if (!place) return;
  if (place.dataset.state !== state) {
    place.dataset.state = state;
    place.className = `st ${{ live: "st-ok", offline: "st-warn" }[state] || "st-work"}`;
    const mark = state === "live" || state === "offline" ? el("span", { class: "dot", "aria-hidden": "true" }) : arc.cloneNode(true);
    place.replaceChildren(mark, el("span"));
  }
  place.lastElementChild.textContent = text;
}

let socket = null;
let tries = 0;
let beat = 0;
let live = false;
let countdown = null;

function connect() {
  clearInterval(countdown);
  show("connecting", "Connecting");
  const address = `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/ws/live`;
  const mine = (socket = new WebSocket(address));
  mine.onopen = () => (beat = Date.now());
  mine.onmessage = (event) => {
    beat = Date.now();
    if (!live) {
      live = true;
      tries = 0;
      show("live", "Live");
      everything(); // what changed since the page was made, or while the socket was lost
    }
    const message = JSON.parse(event.data);
    if (message.type === "changed") changed(message);
  };
  mine.onclose = (event) => {
    if (mine !== socket) return;
    if (event.code === ENDED) return location.reload(); // the server leads to the log-in form and back
    retry();
  };
}

function retry() {
  live = false;
  tries += 1;
  const wait = Math.min(30, 2 ** Math.min(tries - 1, 5)) * (0.75 + Math.random() / 2);
  const until = Date.now() + wait * 1000;
  const tick = () => {
    const left = Math.ceil((until - Date.now()) / 1000);
    if (!navigator.onLine) show("offline", "Offline");
    else if (left > 0) show("reconnecting", `Reconnecting ${span(left)}`);
    if (left <= 0) connect();
  };
  clearInterval(countdown);
  countdown = setInterval(tick, 500);
  tick();
}

export function startLive() {
  if (!$("#live-state")) return;
  connect();
  setInterval(() => {
    if (socket?.readyState === WebSocket.OPEN && Date.now() - beat > SILENCE) {
      socket.onclose = null;
      socket.close();
      retry();
    }
  }, 5000);
  addEventListener("online", () => socket?.readyState === WebSocket.OPEN || connect());
  addEventListener("pageshow", (event) => event.persisted && location.reload());
}

document.addEventListener("click", (event) => {
  if (!event.target.closest("[data-refresh-order]")) return;
  forced = true;
  fetchListSoon();
});
