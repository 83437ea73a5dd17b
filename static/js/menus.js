// Menus are native popovers; this puts them beside their button and moves in them by arrow keys.
import { $, $$, on } from "./dom.js";

export function openMenu(menu, button) {
  if (menu.matches(":popover-open")) return menu.hidePopover();
  menu.showPopover();
  place(menu, button);
  menu.opener = button;
  button.setAttribute("aria-expanded", "true");
  $$("a, button", menu).find((item) => !item.hidden)?.focus();
}

function place(menu, button) {
  const at = button.getBoundingClientRect();
  const size = menu.getBoundingClientRect();
  const below = at.bottom + 4 + size.height <= innerHeight;
  const left = at.left + size.width > innerWidth - 8 ? at.right - size.width : at.left;
  menu.style.top = `${Math.max(8, below ? at.bottom + 4 : at.top - 4 - size.height)}px`;
  menu.style.left = `${Math.max(8, left)}px`;
}

export function startMenus() {
  on("click", "[popovertarget]", (event, button) => {
    const menu = document.getElementById(button.getAttribute("popovertarget"));
    if (!menu?.matches(".menu")) return;
    event.preventDefault();
    openMenu(menu, button);
  });
  document.addEventListener(
    "toggle",
    (event) => {
      const menu = event.target;
      if (event.newState !== "closed" || !menu.opener) return;
      menu.opener.setAttribute("aria-expanded", "false");
      const inside = document.activeElement === document.body || menu.contains(document.activeElement);
      if (inside) menu.opener.focus({ preventScroll: true });
      menu.opener = null;
    },
    true,
  );
  on("keydown", ".menu[popover]", (event, menu) => {
    const items = $$("a, button", menu).filter((item) => item.offsetParent);
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step || !items.length) return;
    event.preventDefault();
    items[(items.indexOf(document.activeElement) + step + items.length) % items.length].focus();
  });
  on("click", ".menu[popover] a, .menu[popover] button:not([aria-disabled=true])", (event, item) => {
    item.closest("[popover]").hidePopover();
  });
  on("click", "[data-nav-toggle]", (event, button) => {
    const nav = $("#nav");
    const shown = nav.toggleAttribute("data-ui-shown");
    button.setAttribute("aria-expanded", shown);
    if (shown) $("a", nav)?.focus();
  });
}

// A button with data-dialog opens that dialog; data-action is where its form goes, data-fill-x the text of [data-fill=x].
export function startDialogs() {
  on("click", "[data-dialog]", (event, button) => {
    const dialog = document.getElementById(button.dataset.dialog);
    $("form", dialog).action = button.dataset.action;
    for (const place of $$("[data-fill]", dialog)) place.textContent = button.getAttribute(`data-fill-${place.dataset.fill}`);
    dialog.showModal();
  });
  on("click", "[data-close-dialog]", (event, button) => button.closest("dialog").close());
}
