// What screen and terminal share: the ticket, the socket, the state line, the veil, who has the keyboard.
import { $, $$, ask, el, icon, on } from "./dom.js";

export const root = $("[data-console]");
export const screen = $("[data-screen]", root);

// Close codes of the portal (apps/instances/consumers.py) after which trying again by oneself makes no sense.
const FINAL = new Set([4401, 4403, 4410]);
const arc = $("[data-state] .spin", root);

export function say(family, text) {
  const place = $("[data-state]", root);
  place.className = `st st-${family}`;
  const mark = family === "ok" ? el("span", { class: "dot", "aria-hidden": "true" }) : family === "work" ? arc.cloneNode(true) : icon(family === "err" ? "x-octagon-fill" : "stop-circle");
  place.replaceChildren(mark, el("span", {}, text));
}

function veil(title, text, again = true) {
  const place = $("[data-veil]", root);
  place.hidden = !title;
  $("[data-veil-title]", place).textContent = title;
  $("[data-veil-text]", place).textContent = text;
  $("[data-reconnect]", place).hidden = !again;
}

export function usable(on) {
  for (const button of $$("[data-send], [data-needs-open], [data-type-text], [data-picture]", root)) if (!button.closest(".menu")) button.disabled = !on;
  for (const button of $$("[data-reconnect]", root)) if (!button.closest("[data-veil]")) button.hidden = on || !allowed();
}

const isOn = () => $("[data-live-part] .st", root)?.classList.contains("st-ok") ?? true;
const allowed = () => !("once" in root.dataset && used);
let used = false; // the one ticket of a console's URL

async function ticket() {
  if (!root.dataset.ticketUrl) {
    used = true;
    return { ticket: new URLSearchParams(location.search).get("token") };
  }
  const answer = await ask(root.dataset.ticketUrl, { method: "POST" });
  const said = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(said.error || `The portal refused a ticket (HTTP ${answer.status}).`);
  return said;
}

// Opens the socket and gives it to `attach(socket)`; again after failures that may pass.
export class Line {
  constructor(attach, detach) {
    this.attach = attach;
    this.detach = detach;
    this.tries = 0;
    for (const button of $$("[data-reconnect]", root)) button.addEventListener("click", () => this.open());
    this.wasOn = isOn();
    on("live:changed", "[data-console]", () => this.follow());
    if (!("closed" in root.dataset)) this.open();
    else {
      usable(false);
      say("stop", "Closed");
    }
  }

  // The instance changed: one that has started is opened, without being asked.
  follow() {
    const started = isOn() && !this.wasOn;
    this.wasOn = isOn();
    if (started && !this.socket) this.open();
  }

  async open() {
    if (this.socket || this.opening) return;
    this.opening = true;
    clearTimeout(this.timer);
    say("work", "Connecting");
    veil("", "");
    for (const button of $$("[data-reconnect]", root)) button.hidden = true;
    try {
      const { ticket: secret } = await ticket();
      const address = `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}${root.dataset.socketUrl}`;
      const socket = (this.socket = new WebSocket(address, ["binary", `ticket.${secret}`]));
      socket.binaryType = "arraybuffer";
      socket.addEventListener("close", (event) => this.closed(socket, event));
      socket.addEventListener("message", () => this.works(), { once: true });
      this.attach(socket);
    } catch (error) {
      this.ended(error instanceof TypeError ? "Browser to portal: the portal does not answer." : error.message, error instanceof TypeError);
    } finally {
      this.opening = false;
    }
  }

  works() {
    this.tries = 0;
    veil("", "");
  }

  closed(socket, event) {
    if (socket !== this.socket) return;
    const reason = event.reason || "Browser to portal: the connection broke.";
    this.ended(reason, !FINAL.has(event.code) && !("once" in root.dataset));
  }

  ended(reason, passing) {
    this.socket = null;
    this.detach?.();
    usable(false);
    const [hop, text] = reason.includes(": ") ? reason.split(/: (.*)/s) : ["The console is closed", reason];
    if (passing && this.tries < 6) {
      const wait = 2 ** this.tries++;
      this.timer = setTimeout(() => this.open(), wait * 1000);
      say("work", `Trying again in ${wait} s`);
    } else say("err", "Closed");
    const more = "once" in root.dataset ? " This link is used up: ask for another." : "";
    veil(hop, `${text.charAt(0).toUpperCase()}${text.slice(1)}${more}`, allowed());
  }
}

// --- who has the keyboard -------------------------------------------------------------------------------

export function keyboard(has) {
  screen.classList.toggle("is-live", has);
  $("[data-keyboard]", root).textContent = has ? `Keyboard goes to ${root.dataset.name}.` : "";
  $("[data-release]", root).hidden = !has;
}

// Ctrl Alt Shift together give the keyboard back to the page.
export function startKeyboard(release) {
  screen.addEventListener("focusin", () => keyboard(true));
  screen.addEventListener("focusout", () => keyboard(false));
  const give = () => {
    release();
    $("[data-reconnect]:not([hidden]), [data-fullscreen]", root).focus();
  };
  $("[data-release]", root).addEventListener("click", give);
  addEventListener(
    "keydown",
    (event) => {
      if (!(event.ctrlKey && event.altKey && event.shiftKey) || !screen.contains(document.activeElement)) return;
      if (!["Control", "Alt", "Shift"].includes(event.key)) return;
      event.stopImmediatePropagation();
      give();
    },
    true,
  );
  const stage = $("#con-stage");
  $("[data-fullscreen]", root).addEventListener("click", () => {
    if (document.fullscreenElement) document.exitFullscreen();
    else stage.requestFullscreen().then(() => $("textarea, canvas", screen)?.focus());
  });
}
