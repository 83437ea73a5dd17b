// Single keys, off while an input or a console has the keyboard.
import { $, on, typing } from "./dom.js";
import { toggleDrawer } from "./drawer.js";
import { openPalette } from "./palette.js";
import { tableKeys } from "./table.js";

const GO = { o: "overview", i: "instances", n: "networks", f: "floating-ips", s: "security-groups", k: "keypairs", m: "images" };

let going = 0; // when G was pressed

function go(key) {
  const wanted = GO[key];
  const link = wanted === "overview" ? $("#nav a") : $(`#nav a[href$="/${wanted}/"], #nav a[href$="/${wanted}"]`);
  if (link) location.assign(link.href);
}

const keys = {
  "/": () => $("[data-filter] input")?.focus(),
  "?": () => $("#keys")?.showModal(),
  c: () => $("[data-create]")?.click(),
  t: toggleDrawer,
  g: () => (going = Date.now()),
  ...tableKeys,
};

export function startKeys() {
  on("click", "[data-keys]", () => $("#keys").showModal());
  document.addEventListener("keydown", (event) => {
    if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k") {
      if (event.target.closest?.("[data-screen]")) return;
      event.preventDefault();
      return openPalette();
    }
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    if (typing(event.target) || $("dialog[open]") || $("[popover]:popover-open")) return;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    if (Date.now() - going < 1500 && key !== "g") {
      going = 0;
      return go(key);
    }
    const action = keys[key];
    if (!action) return;
    if (key !== "Enter" && key !== "Escape") event.preventDefault();
    action();
  });
}
