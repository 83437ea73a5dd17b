// Ctrl K: resources, pages and actions. Every word must match somewhere; recent first while nothing is typed.
import { $, $$, ask, el, icon, on } from "./dom.js";
import { rowActions } from "./table.js";

const RECENT = "cloudpanel.recent";
const SHOWN = 12;

let items = null; // everything without a search
let found = [];

const recent = () => JSON.parse(localStorage.getItem(RECENT) || "[]");

function remember(item) {
  const others = recent().filter((old) => old.url !== item.url);
  localStorage.setItem(RECENT, JSON.stringify([item, ...others].slice(0, 6)));
}

async function load(text) {
  const url = $("#palette").dataset.url;
  const answer = await ask(text ? `${url}?q=${encodeURIComponent(text)}` : url);
  return answer.ok ? (await answer.json()).items : [];
}

const matches = (item, words) => words.every((word) => `${item.label} ${item.sub}`.toLowerCase().includes(word));

function marked(label, words) {
  const hit = words.filter(Boolean).map((word) => word.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  if (!hit.length) return [label];
  return label.split(new RegExp(`(${hit.join("|")})`, "i")).map((part, i) => (i % 2 ? el("mark", {}, part) : part));
}

function draw(list, words) {
  const box = $("#palette-results");
  const groups = Map.groupBy ? Map.groupBy(list, (item) => item.group) : group(list);
  let index = 0;
  box.replaceChildren(
    ...[...groups].map(([name, members]) =>
      el(
        "div",
        { role: "group", "aria-label": name },
        el("h3", { role: "presentation" }, name),
        ...members.map((item) => {
          const option = el("div", { class: "opt", role: "option", id: `palette-${index++}`, "aria-selected": "false", "data-url": item.url }, icon(item.icon), el("span", {}, ...marked(item.label, words)), el("span", { class: "sub" }, item.sub));
          option.item = item;
          return option;
        }),
      ),
    ),
  );
  if (!list.length) box.replaceChildren(el("div", { class: "opt t3" }, "Nothing has all of these words."));
  choose(0);
}

function group(list) {
  const groups = new Map();
  for (const item of list) groups.set(item.group, [...(groups.get(item.group) || []), item]);
  return groups;
}

const options = () => $$("#palette [role=option]");

function choose(index) {
  const all = options();
  all.forEach((option, i) => {
    option.classList.toggle("is-on", i === index);
    option.setAttribute("aria-selected", i === index);
  });
  all[index]?.scrollIntoView({ block: "nearest" });
  const input = $("#palette input");
  if (all[index]) input.setAttribute("aria-activedescendant", all[index].id);
  else input.removeAttribute("aria-activedescendant");
}

function run(option) {
  if (!option?.item) return;
  if (option.item.run) {
    $("#palette").close();
    return option.item.run();
  }
  remember({ ...option.item, group: "Recent" });
  location.assign(option.item.url);
}

let asked = 0;

async function search() {
  const text = $("#palette input").value.trim();
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  const show = (source) => {
    const exact = (item) => item.label.toLowerCase() === text.toLowerCase();
    const known = [...rowActions(), ...source].filter((item) => matches(item, words)).sort((a, b) => exact(b) - exact(a));
    const first = () => [...rowActions(), ...recent(), ...source.filter((i) => i.group !== "Resources")];
    draw(words.length ? known.slice(0, SHOWN * 2) : first(), words);
  };
  items ||= await load(""); // once a page
  show(found.length && words.length ? found : items);
  if (text.length < 2) return;
  const mine = ++asked;
  await new Promise((resolve) => setTimeout(resolve, 120));
  if (mine !== asked) return;
  found = await load(text);
  if (mine === asked && $("#palette").open) show(found);
}

export function openPalette() {
  const dialog = $("#palette");
  if (!dialog || dialog.open) return;
  $("input", dialog).value = "";
  found = [];
  dialog.showModal();
  search();
}

export function startPalette() {
  const dialog = $("#palette");
  if (!dialog) return;
  on("click", "[data-palette]", openPalette);
  $("input", dialog).addEventListener("input", search);
  dialog.addEventListener("keydown", (event) => {
    const all = options();
    const at = all.findIndex((option) => option.classList.contains("is-on"));
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      choose((at + (event.key === "ArrowDown" ? 1 : -1) + all.length) % all.length);
    } else if (event.key === "Enter") {
      event.preventDefault();
      run(all[at]);
    }
  });
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close();
    run(event.target.closest("[role=option]"));
  });
}
