// The guest's screen: noVNC on a socket that the portal relays.
import RFB from "@novnc/novnc";
import { $, on } from "./dom.js";
import { Line, root, say, screen, startKeyboard, usable } from "./socket.js";

const KEYS = {
  ctrl: [0xffe3, "ControlLeft"],
  alt: [0xffe9, "AltLeft"],
  shift: [0xffe1, "ShiftLeft"],
  escape: [0xff1b, "Escape"],
  tab: [0xff09, "Tab"],
  backspace: [0xff08, "Backspace"],
  sysrq: [0xff15, "PrintScreen"],
  c: [0x63, "KeyC"],
  d: [0x64, "KeyD"],
  f1: [0xffbe, "F1"],
  f2: [0xffbf, "F2"],
};
const PAUSE = 12; // ms between typed characters; slower guests lose none

let rfb = null;
let fits = true;

function attach(socket) {
  screen.replaceChildren();
  rfb = new RFB(screen, socket, { shared: true });
  rfb.scaleViewport = fits;
  rfb.clipViewport = !fits;
  rfb.background = "transparent";
  rfb.addEventListener("connect", () => {
    say("ok", "Connected");
    usable(true);
    rfb.focus();
  });
  rfb.addEventListener("securityfailure", (event) => say("err", event.detail.reason || "Refused"));
}

function detach() {
  rfb?.disconnect();
  rfb = null;
}

function press(name) {
  if (name === "ctrl-alt-del") return rfb.sendCtrlAltDel();
  const keys = name.split("-").map((part) => KEYS[part]);
  for (const [symbol, code] of keys) rfb.sendKey(symbol, code, true);
  for (const [symbol, code] of keys.reverse()) rfb.sendKey(symbol, code, false);
}

// US layout: the characters that need Shift there.
const SHIFTED = '~!@#$%^&*()_+{}|:"<>?ABCDEFGHIJKLMNOPQRSTUVWXYZ';

async function type(text) {
  for (const char of text.replaceAll("\r\n", "\n")) {
    if (!rfb) return;
    const point = char.codePointAt(0);
    const symbol = char === "\n" ? 0xff0d : char === "\t" ? 0xff09 : point < 0x100 ? point : 0x1000000 + point;
    const shift = SHIFTED.includes(char);
    if (shift) rfb.sendKey(0xffe1, "ShiftLeft", true);
    rfb.sendKey(symbol, null);
    if (shift) rfb.sendKey(0xffe1, "ShiftLeft", false);
    await new Promise((resolve) => setTimeout(resolve, PAUSE));
  }
}

function startTyping() {
  const dialog = $("#type-text");
  const box = $("textarea", dialog);
  $("[data-type-text]", root).addEventListener("click", () => {
    box.value = "";
    dialog.showModal();
    box.focus();
  });
  dialog.addEventListener("close", () => {
    if (dialog.returnValue === "type" && rfb) type(box.value);
    box.value = "";
    rfb?.focus();
  });
}

function takePicture() {
  rfb.toBlob((blob) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = `${root.dataset.name}-${new Date().toISOString().slice(0, 19).replaceAll(":", "")}.png`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  });
}

on("click", "[data-send]", (event, button) => rfb && (press(button.dataset.send), rfb.focus()));
$("[data-picture]", root).addEventListener("click", () => rfb && takePicture());
$("[data-fit]", root).addEventListener("click", (event) => {
  fits = !fits;
  event.currentTarget.setAttribute("aria-pressed", fits);
  if (rfb) {
    rfb.scaleViewport = fits;
    rfb.clipViewport = !fits;
  }
});
startTyping();
startKeyboard(() => {
  if (!rfb) return;
  for (const name of ["ctrl", "alt", "shift"]) rfb.sendKey(...KEYS[name], false); // the page gets their key-up, not the guest
  rfb.blur();
});
new Line(attach, detach);
