// Before the style sheet, on pages without a chosen theme: the system's.
const dark = matchMedia("(prefers-color-scheme: dark)");
const follow = () => {
  if (document.documentElement.dataset.theme === "system")
    document.documentElement.dataset.bsTheme = dark.matches ? "dark" : "light";
};
follow();
dark.addEventListener("change", follow);
