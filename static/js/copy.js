// Copy buttons: the icon becomes a check for 1.5 s.
import { $, announce, icon, on } from "./dom.js";

async function write(text) {
  if (navigator.clipboard && window.isSecureContext) return navigator.clipboard.writeText(text);
  const box = document.createElement("textarea"); // plain HTTP to another machine has no clipboard API
  box.value = text;
  box.className = "visually-hidden";
  document.body.append(box);
  box.select();
  document.execCommand("copy");
  box.remove();
}

export async function copyText(text, button) {
  await write(text);
  announce("Copied");
  if (!button || button.classList.contains("is-copied")) return;
  const before = [...button.childNodes];
  button.classList.add("is-copied");
  button.replaceChildren(icon("check-lg"));
  setTimeout(() => {
    button.classList.remove("is-copied");
    button.replaceChildren(...before);
  }, 1500);
}

export function startCopy() {
  on("click", "[data-copy]", (event, button) => copyText(button.dataset.copy, button));
  on("click", "[data-copy-from]", (event, button) => {
    const source = $(button.dataset.copyFrom, button.parentElement) || $(button.dataset.copyFrom);
    copyText(source.textContent, button);
  });
  on("click", "[data-download]", (event, button) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([$(button.dataset.downloadFrom).textContent], { type: "application/x-pem-file" }));
    link.download = button.dataset.download;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  });
}
