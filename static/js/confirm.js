// Ask before what loses data or service; see templates/components/confirm.html for the attributes.
import { $, el, slot } from "./dom.js";

const LINES = [
  ["goes", "Goes", "t2"],
  ["stays", "Stays", "t2"],
  ["blocks", "Blocks", "st-err"],
];

// Resolves to true when the person says yes. `wants`: {title, text, verb, goes, stays, blocks, type}, lists by "|".
export function confirm(wants) {
  const dialog = $("#confirm");
  $("#confirm-title").textContent = wants.title;
  $("#confirm-text").textContent = wants.text || "";
  const rows = LINES.flatMap(([name, word, css]) =>
    (wants[name] || "")
      .split("|")
      .filter(Boolean)
      .flatMap((line) => [el("span", { class: css }, word), el("span", {}, line), el("span")]),
  );
  slot(dialog, "list").replaceChildren(...rows);
  const typed = slot(dialog, "type");
  const input = $("input", typed);
  typed.hidden = !wants.type;
  $("code", typed).textContent = wants.type || "";
  input.value = "";
  const yes = slot(dialog, "yes");
  yes.textContent = wants.verb;
  const check = () => (yes.disabled = Boolean(wants.blocks) || (Boolean(wants.type) && input.value !== wants.type));
  input.oninput = check;
  check();
  dialog.returnValue = "";
  dialog.showModal();
  slot(dialog, "cancel").focus();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
}

export function wantsOf(button) {
  const data = button.dataset;
  return {
    title: data.confirm,
    text: data.confirmText,
    verb: data.confirmVerb || button.textContent.trim(),
    goes: data.confirmGoes,
    stays: data.confirmStays,
    blocks: data.confirmBlocks,
    type: data.confirmType,
  };
}

export function startConfirm() {
  const agreed = new WeakSet();
  document.addEventListener(
    "click",
    async (event) => {
      const button = event.target instanceof Element && event.target.closest("button[data-confirm]");
      if (!button || button.getAttribute("aria-disabled") === "true") return;
      if (agreed.delete(button)) return;
      event.preventDefault();
      event.stopPropagation();
      button.closest("[popover]")?.hidePopover();
      if (!(await confirm(wantsOf(button)))) return button.focus?.();
      agreed.add(button);
      button.click();
    },
    true,
  );
}
