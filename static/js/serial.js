// The guest's serial line in a terminal.
import { FitAddon } from "@xterm/addon-fit";
import { Terminal } from "@xterm/xterm";
import { $, on } from "./dom.js";
import { Line, root, say, screen, startKeyboard, usable } from "./socket.js";
import { copyText } from "./copy.js";

const KEYS = { enter: "\r", "ctrl-c": "\x03" };

const terminal = new Terminal({
  cursorBlink: true,
  fontFamily: 'ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace',
  fontSize: 14,
  screenReaderMode: true,
  scrollback: 5000,
  theme: { background: "#000000", foreground: "#cfd6d8" },
});
const fit = new FitAddon();
terminal.loadAddon(fit);
terminal.open(screen);
new ResizeObserver(() => fit.fit()).observe(screen);

const encoder = new TextEncoder();
let socket = null;

function send(text) {
  if (socket?.readyState === WebSocket.OPEN) socket.send(encoder.encode(text));
}

function attach(opened) {
  socket = opened;
  let silent = true;
  socket.addEventListener("open", () => {
    say("ok", "Connected");
    usable(true);
    terminal.focus();
    // A log-in prompt that was written before we came is not written again.
    setTimeout(() => silent && terminal.write("\x1b[2mPress Enter to see the prompt.\x1b[0m\r\n"), 700);
  });
  socket.addEventListener("message", (event) => {
    silent = false;
    terminal.write(typeof event.data === "string" ? event.data : new Uint8Array(event.data));
  });
}

function detach() {
  socket = null;
}

// What is selected, or all that the terminal holds.
function content() {
  if (terminal.hasSelection()) return terminal.getSelection();
  const buffer = terminal.buffer.active;
  const lines = Array.from({ length: buffer.length }, (_, i) => buffer.getLine(i).translateToString(true));
  return `${lines.join("\n").trimEnd()}\n`;
}

terminal.onData(send);
on("click", "[data-send]", (event, button) => {
  send(KEYS[button.dataset.send]);
  terminal.focus();
});
$("[data-copy-screen]", root).addEventListener("click", (event) => copyText(content(), event.currentTarget));
startKeyboard(() => terminal.blur());
new Line(attach, detach);
