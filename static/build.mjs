// Makes static/vendor/: all that the browser loads, from node_modules, static/js and static/css.
// Run by `npm run build`; static/vendor/ is not in git.
import { build } from "esbuild";
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const modules = join(root, "node_modules");
const out = join(root, "static", "vendor");

function filesBelow(folder, ends) {
  return readdirSync(folder, { recursive: true })
    .filter((name) => ends.some((end) => name.endsWith(end)))
    .map((name) => join(folder, name));
}

const iconFile = (name) => join(modules, "bootstrap-icons", "icons", `${name}.svg`);

// `{% icon "name" %}`, `icon="name"`, `"icon": "name"` and `icon("name")`, wherever pages are made; and in urls.py,
// where apps name the icon of their line in the navigation, every word that is one.
function iconsUsed() {
  const sources = [
    ...filesBelow(join(root, "templates"), [".html"]),
    ...filesBelow(join(root, "apps"), [".py"]),
    ...filesBelow(join(root, "static", "js"), [".js"]),
  ];
  const names = new Set();
  for (const file of sources)
    for (const [, name] of readFileSync(file, "utf8").matchAll(/\bicon["']?\s*[:=(]?\s*["']([a-z0-9-]+)["']/g))
      names.add(name);
  for (const file of filesBelow(join(root, "apps"), ["urls.py"]))
    for (const [, name] of readFileSync(file, "utf8").matchAll(/"([a-z0-9-]+)"/g))
      if (existsSync(iconFile(name))) names.add(name);
  return [...names].sort();
}

// One SVG sprite of the icons used; a name that Bootstrap Icons does not have fails the build.
function writeSprite() {
  const symbols = iconsUsed().map((name) => {
    const svg = readFileSync(iconFile(name), "utf8");
    const [, viewBox, shapes] = svg.match(/viewBox="([^"]+)"[^>]*>([\s\S]*)<\/svg>/);
    return `<symbol id="${name}" viewBox="${viewBox}">${shapes.replace(/\n\s*/g, "")}</symbol>`;
  });
  writeFileSync(join(out, "icons.svg"), `<svg xmlns="http://www.w3.org/2000/svg">${symbols.join("")}</svg>\n`);
  return symbols.length;
}

function copyFonts() {
  const fonts = join(modules, "@fontsource-variable", "recursive", "files");
  copyFileSync(join(fonts, "recursive-latin-mono-normal.woff2"), join(out, "recursive.woff2"));
}

const common = { absWorkingDir: root, bundle: true, minify: true, target: ["es2022"], legalComments: "none" };

async function bundleStyles() {
  const bootstrap = '@import "bootstrap/dist/css/bootstrap.min.css";\n@import "./static/css/app.css";\n';
  const external = ["../vendor/*"]; // the font: the same address from static/css and from static/vendor
  const stdin = { contents: bootstrap, resolveDir: root, loader: "css" };
  await build({ ...common, stdin, external, outfile: join(out, "app.css") });
  await build({ ...common, entryPoints: ["@xterm/xterm/css/xterm.css"], outfile: join(out, "xterm.css") });
}

// `app` is on every page; the others only where they are needed.
async function bundleScripts() {
  const entryPoints = ["app", "launch", "console", "serial", "theme"].map((name) => `static/js/${name}.js`);
  await build({ ...common, entryPoints, format: "esm", outdir: out });
}

rmSync(out, { recursive: true, force: true });
mkdirSync(out, { recursive: true });
copyFonts();
const icons = writeSprite();
await bundleStyles();
await bundleScripts();
console.log(`static/vendor: ${readdirSync(out).length} files, ${icons} icons`);
