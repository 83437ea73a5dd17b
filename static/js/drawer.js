// The task drawer at the bottom; it stays open across pages and follows the cloud.
import { $, $$, ask, on } from "./dom.js";
import { refreshTimes } from "./times.js";
import htmx from "htmx.org";

const KEY = "cloudpanel.drawer";
const drawer = () => $("#drawer");

async function fill() {
  const answer = await ask(drawer().dataset.url);
  if (!answer.ok) return;
  const top = $(".scroll", drawer())?.scrollTop || 0;
  drawer().innerHTML = await answer.text();
  htmx.process(drawer());
  refreshTimes(drawer());
  const scroll = $(".scroll", drawer());
  if (scroll) scroll.scrollTop = top;
}

export async function toggleDrawer() {
  const place = drawer();
  if (!place?.dataset.url) return;
  const opening = place.hidden;
  place.hidden = !opening;
  localStorage.setItem(KEY, opening ? "open" : "");
  for (const button of $$("[data-drawer]")) button.setAttribute("aria-expanded", opening);
  if (opening) await fill();
}

export function startDrawer() {
  on("click", "[data-drawer]", toggleDrawer);
  on("click", "[data-close-drawer]", () => {
    toggleDrawer();
    $("[data-drawer]:not(.only-s)")?.focus();
  });
  document.addEventListener("live:counts", () => drawer() && !drawer().hidden && fill());
  if (localStorage.getItem(KEY) && drawer()?.dataset.url) toggleDrawer();
}
