// The launch page: summary, quota, what fits and the command follow the fields.
import { $, $$, icon, plural, slot } from "./dom.js";

const form = $("#launch");
const side = $(".side", form);

const chosen = (name) => $(`input[name="${name}"]:checked`, form);
const all = (name) => $$(`input[name="${name}"]:checked`, form).map((input) => input.dataset.name);
const text = (name) => form.elements[name]?.value.trim() || "";
const count = () => Math.max(1, Number.parseInt(form.elements.count?.value, 10) || 1);

const quote = (value) => (/^[\w@%+=:,./-]+$/.test(value) ? value : `'${value.replaceAll("'", "'\\''")}'`);

const scaled = (value, unit) => {
  if (unit !== "MiB") return String(value);
  const gib = value / 1024;
  return value >= 1024 ? `${Number(gib.toFixed(gib < 100 ? 1 : 0))} GiB` : `${value} MiB`;
};

// What the image needs is known here; what quota and hosts allow, the server has said.
function fit(flavor, image) {
  const { disk, ram, fits, text: said } = flavor.dataset;
  if (image && Number(ram) < Number(image.dataset.minRam)) return [false, `RAM: the image needs ${scaled(image.dataset.minRam, "MiB")}`];
  if (image && Number(disk) && Number(disk) < Number(image.dataset.minDisk)) return [false, `Disk: the image needs ${image.dataset.minDisk} GiB`];
  return [Boolean(fits), said || "Fits this image"];
}

function showFits(image) {
  for (const flavor of $$('input[name="flavor"]', form)) {
    const [fits, said] = fit(flavor, image);
    flavor.disabled = !fits;
    if (!fits) flavor.checked = false;
    const row = flavor.closest("tr");
    row.classList.toggle("off", !fits);
    const place = slot(row, "fit");
    place.textContent = said;
    place.title = said;
  }
  const usable = $$('input[name="flavor"]:not(:disabled)', form);
  if (!chosen("flavor") && usable.length) usable[0].checked = true;
}

function showQuota(takes) {
  let over = "";
  for (const line of $$("[data-quota]", side)) {
    const { quota, used, limit, unit } = line.dataset;
    const after = Number(used) + takes[quota];
    slot(line, "after").textContent = scaled(after, unit);
    const [first, second] = $$("rect", line);
    const whole = Number(limit);
    if (whole < 0) continue;
    const share = whole ? Math.min(100, (Number(used) / whole) * 100) : 100;
    const more = whole ? (takes[quota] / whole) * 100 : 0;
    first.setAttribute("class", share > 85 ? "w" : "u");
    second.setAttribute("class", after > whole ? "e" : "a");
    second.setAttribute("width", `${Math.min(more, 100 - share)}%`);
    if (after > whole && takes[quota]) {
      const label = $("span", line).textContent;
      over ||= `${label}: needs ${scaled(takes[quota], unit)}, ${scaled(Math.max(0, whole - Number(used)), unit)} of ${scaled(whole, unit)} left`;
    }
  }
  return over;
}

function command(image, flavor, name, number) {
  const lines = [`openstack server create ${quote(name || "NAME")}`];
  const add = (option, value) => value && lines.push(`--${option} ${quote(value)}`);
  add("image", image?.dataset.name);
  add("flavor", flavor?.dataset.name);
  all("networks").forEach((network) => add("network", network));
  all("security_groups").forEach((group) => add("security-group", group));
  add("key-name", text("public_key") ? text("public_key_name") || `${name}-key` : text("keypair"));
  if (text("user_data")) add("user-data", "FILE");
  if (form.elements.config_drive?.checked) lines.push("--use-config-drive");
  add("availability-zone", text("availability_zone"));
  for (const pair of text("metadata").split("\n").filter((line) => line.includes("="))) add("property", pair.trim());
  if (number > 1) lines.push(`--min ${number} --max ${number}`);
  let said = lines.join(" \\\n  ");
  if (text("public_key")) said = `openstack keypair create --public-key FILE ${quote(text("public_key_name") || `${name}-key`)}\n${said}`;
  if (chosen("reach")?.value === "internet") said += `\nopenstack floating ip create NETWORK\nopenstack server add floating ip ${quote(name || "NAME")} ADDRESS`;
  return said;
}

function show() {
  const image = chosen("image");
  showFits(image);
  const flavor = chosen("flavor");
  const name = text("name");
  const number = count();
  const internet = chosen("reach")?.value === "internet";
  const key = text("public_key") ? text("public_key_name") || `${name}-key` : text("keypair");
  slot(side, "title").textContent = number > 1 ? plural(number, "instance", "instances") : name || "New instance";
  slot(side, "image").textContent = image?.dataset.name || "-";
  slot(side, "flavor").textContent = flavor?.dataset.name || "-";
  slot(side, "network").textContent = all("networks").join(", ") || "none: console only";
  slot(side, "reach").textContent = internet ? "the internet" : "this project";
  slot(side, "login").textContent = [image?.dataset.user, key || "no key"].filter(Boolean).join(", ");
  const names = slot(form, "names");
  names.hidden = number < 2;
  names.textContent = `Named ${name}-1 to ${name}-${number}.`;
  for (const rule of $$("[data-of]", form)) rule.hidden = !$(`input[name="security_groups"][value="${rule.dataset.of}"]`, form)?.checked;

  const size = flavor?.dataset || { vcpus: 0, ram: 0 };
  const over = showQuota({ count: number, vcpus: number * size.vcpus, ram: number * size.ram, floating: internet ? number : 0 });
  const verdict = slot(side, "verdict");
  const good = flavor && !over;
  verdict.className = `st ${good ? "st-ok" : "st-warn"} verdict`;
  verdict.replaceChildren();
  if (good) verdict.insertAdjacentHTML("beforeend", '<span class="dot" aria-hidden="true"></span>');
  else verdict.append(icon("exclamation-triangle-fill"));
  verdict.append(over || (flavor ? flavor.dataset.text ? `Fits: ${flavor.dataset.text}` : "Fits this image" : "No flavor fits this image now."));
  for (const button of $$('[data-slot="button"]', form)) button.textContent = `Launch ${number > 1 ? plural(number, "instance", "instances") : name || "instance"}`;
  $("[data-command]", form).textContent = command(image, flavor, name, number);
}

form.addEventListener("input", show);
form.addEventListener("change", show);
show();
