// Experiments: figures by variant with their intervals, the verdict that may be read at any time, and versions.
import { card, empty, h, json, number, percent, svg } from "./dom.js";

const EVERY_MS = 3_000;
const MOOD = { BETTER: "ok", WORSE: "bad", INVALID: "bad", UNDECIDED: "warning" };

export function experiments(host) {
  const [list, versions] = [h("div", { class: "grid", style: { gridColumn: "span 12" } }), h("dl")];
  host.append(h("div", { class: "grid" }, card("", "Versions", "which model answers whom", versions), list));

  async function refresh() {
    try {
      const told = await json("/v1/experiments");
      versions.replaceChildren(...facts(told));
      list.replaceChildren(...(told.experiments?.length ? told.experiments.map(one) : [card("", "Experiments", "", empty("No experiment is running. docs/experiments.md says how to declare one."))]));
    } catch (error) { list.replaceChildren(card("", "Experiments", "", empty(error.message))); }
  }

  refresh();
  const timer = setInterval(() => { if (!document.hidden) refresh(); }, EVERY_MS);
  return { end() { clearInterval(timer); } };
}

function facts(told) {
  return Object.entries(told.model ?? {}).flatMap(([name, value]) => [h("dt", {}, name.replaceAll("_", " ")), h("dd", {}, plain(value))]);
}

function plain(value) {
  if (value === null || value === "") return "none";
  if (Array.isArray(value)) return value.map(plain).join(", ") || "none";
  if (typeof value === "object") return Object.entries(value).map(([name, v]) => `${name} ${plain(v)}`).join(", ") || "none";
  return String(value);
}

function one(told) {
  const most = Math.max(0.001, ...told.variants.map((v) => v.click_rate.high || v.click_rate.value || 0)) * 1.1;
  const of = Object.fromEntries(told.comparisons.map((row) => [row.variant, row]));
  const head = ["variant", "users", "impressions", "click rate, 95 %", "", "verdict"].map((name) => h("th", {}, name));
  const rows = told.variants.map((v) => h("tr", {}, h("td", {}, v.variant, h("span", { class: "soft" }, ` ${percent(v.share, 0)}`)), h("td", {}, number(v.users)), h("td", {}, number(v.impressions)),
    h("td", {}, interval(v.click_rate, most)), h("td", {}, percent(v.click_rate.value, 2)), h("td", {}, verdict(of[v.variant]))));
  const split = told.sample_ratio.mismatch ? "users are not split as declared" : told.declared ? "" : "not declared";
  return card("", `${told.experiment}`, `layer ${told.layer}, learning ${told.learning}${split ? ", " + split : ""}`, h("table", {}, h("thead", {}, h("tr", {}, head)), h("tbody", {}, rows)));
}

function verdict(row) {
  if (!row) return h("span", { class: "soft" }, "control");
  return [h("span", { class: `chip ${MOOD[row.verdict] || ""}` }, row.verdict.toLowerCase()), h("div", { class: "soft" }, row.reasons.join("; "))];
}

function interval({ value, low, high }, most) {
  const at = (v) => `${(200 * Math.max(v, 0)) / most}`;
  if (value === null) return h("span", { class: "soft" }, "nothing yet");
  return svg("svg", { viewBox: "0 0 200 16", width: "100%", height: "16", role: "img", "aria-label": `${percent(value, 2)}, between ${percent(low, 2)} and ${percent(high, 2)}` },
    svg("line", { x1: at(low), x2: at(high), y1: 8, y2: 8, stroke: "var(--policy)", "stroke-width": 3, "stroke-linecap": "round" }), svg("circle", { cx: at(value), cy: 8, r: 5, fill: "var(--policy)" }));
}
