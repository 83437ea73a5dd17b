// Times that keep themselves up to date: <time datetime="..." data-time="when|age|up|clock">.
// The words are those of apps/core/templatetags/cloudpanel.py.
import { $$ } from "./dom.js";

export function span(seconds) {
  if (seconds < 60) return `${Math.floor(seconds)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h`;
  const days = Math.floor(seconds / 86400);
  return days < 365 ? `${days} d` : `${(days / 365).toFixed(1)} y`;
}

function span2(seconds) {
  const days = Math.floor(seconds / 86400);
  const hours = Math.floor((seconds % 86400) / 3600);
  return days >= 1 && days < 365 && hours ? `${days} d ${hours} h` : span(seconds);
}

const two = (n) => String(n).padStart(2, "0");
const MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(" ");
const dayAndTime = (at) => `${at.getDate()} ${MONTHS[at.getMonth()]}, ${two(at.getHours())}:${two(at.getMinutes())}`;

function words(at, style) {
  const seconds = Math.max(0, (Date.now() - at) / 1000);
  if (style === "age") return span(seconds);
  if (style === "up") return span2(seconds);
  if (style === "clock")
    return seconds < 86400 ? [at.getHours(), at.getMinutes(), at.getSeconds()].map(two).join(":") : dayAndTime(at);
  if (seconds < 86400) return span(seconds);
  return seconds < 2 * 86400 ? "yesterday" : dayAndTime(at);
}

export function refreshTimes(root = document) {
  for (const element of $$("time[data-time]", root)) {
    const at = new Date(element.dateTime);
    const text = words(at, element.dataset.time);
    if (element.textContent !== text) element.textContent = text;
    if (!element.dataset.uiExact) {
      element.title = at.toLocaleString();
      element.dataset.uiExact = "1";
    }
  }
}

refreshTimes();
setInterval(() => document.hidden || refreshTimes(), 1000);
document.addEventListener("visibilitychange", () => document.hidden || refreshTimes());
