// The filter box above a list. Typed words become tokens; the state is the URL's `q`.
import htmx from "htmx.org";
import { $, $$, el, icon, on, slot } from "./dom.js";

// "status:error -name:"old web" web" to its terms
function split(text) {
  return text.match(/-?(?:[A-Za-z_][\w-]*:)?(?:"[^"]*"?|[^\s"])+/g) || [];
}

class Filter {
  constructor(form) {
    this.form = form;
    this.input = $("input[name=q]", form);
    this.menu = $("[role=listbox]", form);
    this.fields = form.dataset.fields.split("|").filter(Boolean).map((field) => field.split(/:(.*)/s));
    this.tokens = [];
    this.fromUrl();
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.take();
      this.go();
    });
    this.input.addEventListener("keydown", (event) => this.key(event));
    this.input.addEventListener("input", () => {
      if (this.input.value.endsWith(" ") && !/"[^"]*$/.test(this.input.value)) {
        this.take();
        this.go();
      }
      this.suggest();
    });
    this.input.addEventListener("focus", () => this.suggest());
    this.input.addEventListener("blur", () => setTimeout(() => this.hide(), 150));
    slot(form, "clear").addEventListener("click", () => this.clear());
    on("click", "[data-clear-filter]", (event) => {
      event.preventDefault();
      this.clear();
    });
    addEventListener("popstate", () => this.fromUrl());
  }

  fromUrl() {
    this.tokens = split(new URLSearchParams(location.search).get("q") || "");
    this.input.value = "";
    this.draw();
  }

  clear() {
    this.tokens = [];
    this.input.value = "";
    this.go();
    this.input.focus();
  }

  take() {
    this.tokens.push(...split(this.input.value));
    this.input.value = "";
    this.draw();
  }

  go() {
    const query = new URLSearchParams(location.search);
    const text = this.tokens.join(" ");
    if (text) query.set("q", text);
    else query.delete("q");
    query.delete("page");
    const url = `${location.pathname}${query.size ? `?${query}` : ""}`;
    htmx.ajax("GET", url, { source: "#list", target: "#list", select: "#list", swap: "outerHTML" });
    this.draw();
  }

  draw() {
    slot(this.form, "tokens").replaceChildren(
      ...this.tokens.map((token, index) => {
        const remove = el("button", { type: "button", "aria-label": `Remove ${token}` }, icon("x"));
        remove.addEventListener("click", () => {
          this.tokens.splice(index, 1);
          this.go();
          this.input.focus();
        });
        return el("span", { class: token.startsWith("-") ? "tok not" : "tok" }, token, remove);
      }),
    );
    const text = this.tokens.join(" ");
    for (const view of $$(".views a")) {
      if ((new URL(view.href).searchParams.get("q") || "") === text) view.setAttribute("aria-current", "true");
      else view.removeAttribute("aria-current");
    }
    this.count();
  }

  count() {
    const list = $("#list");
    const active = this.tokens.length > 0;
    slot(this.form, "count").textContent = active && list ? `${list.dataset.matched} of ${list.dataset.total}` : "";
    slot(this.form, "clear").hidden = !active;
    slot(this.form, "hint").hidden = active;
    if (active) this.input.removeAttribute("placeholder");
    else this.input.placeholder ||= this.placeholder || "";
    this.placeholder ||= this.input.placeholder;
  }

  key(event) {
    const options = $$("[role=option]", this.menu);
    const at = options.findIndex((option) => option.getAttribute("aria-selected") === "true");
    if (event.key === "Backspace" && this.input.value === "" && this.tokens.length) {
      event.preventDefault();
      this.input.value = this.tokens.pop();
      this.go();
    } else if ((event.key === "ArrowDown" || event.key === "ArrowUp") && options.length) {
      event.preventDefault();
      const next = (at + (event.key === "ArrowDown" ? 1 : -1) + options.length) % options.length;
      this.choose(options, next);
    } else if ((event.key === "Enter" || event.key === "Tab") && at >= 0) {
      event.preventDefault();
      options[at].click();
    } else if (event.key === "Escape") {
      if (this.menu.hidden) this.input.blur();
      this.hide();
    }
  }

  choose(options, index) {
    options.forEach((option, i) => {
      option.setAttribute("aria-selected", i === index);
      option.classList.toggle("is-on", i === index);
    });
    this.input.setAttribute("aria-activedescendant", options[index].id);
  }

  suggest() {
    const typed = this.input.value;
    const minus = typed.startsWith("-") ? "-" : "";
    const [field, value] = typed.replace(/^-/, "").split(/:(.*)/s);
    let offers = [];
    if (value === undefined)
      offers = this.fields
        .filter(([name]) => name.startsWith(field.toLowerCase()))
        .map(([name, hint]) => ({ text: `${minus}${name}:`, hint: hint ? `such as ${hint}` : "", done: false }));
    else {
      const hint = this.fields.find(([name]) => name === field)?.[1] || "";
      offers = hint
        .split(/,\s*/)
        .filter((word) => word && word.startsWith(value) && word !== value)
        .map((word) => ({ text: `${minus}${field}:${word}`, hint: "", done: true }));
    }
    this.menu.replaceChildren(
      ...offers.map((offer, index) => {
        const option = el("button", { type: "button", role: "option", id: `suggestion-${index}`, "aria-selected": "false", tabindex: "-1" }, el("code", {}, offer.text), el("span", { class: "t3" }, offer.hint));
        option.addEventListener("mousedown", (event) => event.preventDefault());
        option.addEventListener("click", () => {
          this.input.value = offer.text;
          if (offer.done) {
            this.take();
            this.go();
          }
          this.suggest();
          this.input.focus();
        });
        return option;
      }),
    );
    this.menu.hidden = !typed || !offers.length || document.activeElement !== this.input;
    this.input.setAttribute("aria-expanded", !this.menu.hidden);
    this.input.removeAttribute("aria-activedescendant");
  }

  hide() {
    this.menu.hidden = true;
    this.input.setAttribute("aria-expanded", "false");
  }
}

export function startFilter() {
  const form = $("[data-filter]");
  if (!form) return;
  const filter = new Filter(form);
  document.addEventListener("htmx:afterSwap", () => filter.count());
  document.addEventListener("rows:changed", () => filter.count());
}
