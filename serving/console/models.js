// Models: weights of both heads, calibration, drift history.
import { calibration, diverging } from "./charts.js";
import { card, empty, h, json, number, percent, when } from "./dom.js";

const EVERY_MS = 3_000;

export function models(host) {
  const [facts, order, click, plot, drift] = [h("dl"), h("div"), h("div"), h("div"), h("div", { class: "scroll" })];
  host.append(h("div", { class: "grid" }, card("w4", "Model", "", facts), card("w4", "Calibration", "predicted against observed, of slots shown lately", plot), card("w4", "Drift history", "", drift),
    card("w6", "Ordering head", "weights shared by all requests: what puts candidates in order", order), card("w6", "Click head", "weights: what makes a click likely", click)));

  async function refresh() {
    try {
      const told = await json("/v1/console/models");
      facts.replaceChildren(...rows(told));
      order.replaceChildren(told.order.length ? diverging(told.order) : empty("Nothing learnt yet."));
      click.replaceChildren(told.click.length ? diverging(told.click) : empty("Nothing learnt yet."));
    } catch (error) { facts.replaceChildren(empty(error.message)); }
  }

  refresh();
  const timer = setInterval(() => { if (!document.hidden) refresh(); }, EVERY_MS);
  return {
    tick(t) {
      plot.replaceChildren(t.calibration.some(([shown]) => shown >= 20) ? calibration(t.calibration) : empty("Waiting for slots that were shown."));
      drift.replaceChildren(t.signals.length ? history([...t.signals].reverse()) : empty("Nothing has drifted."));
    },
    end() { clearInterval(timer); },
  };
}

function rows(told) {
  const surfaces = Object.entries(told.surfaces).map(([name, one]) => `${name}: ${one.policy}, ${percent(one.randomised_share, 0)} random, hides ${one.seen}`);
  const maps = Object.entries(told.calibration).map(([name, [a, b]]) => `${name}: logit × ${number(a, 2)} ${b < 0 ? "−" : "+"} ${number(Math.abs(b), 2)}`);
  const pairs = { version: told.version, "feature schema": told.schema, learning: told.frozen ? "frozen" : "on", calibration: maps.join("; "), surfaces: surfaces.join("; ") };
  return Object.entries(pairs).flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]);
}

function history(signals) {
  return h("table", {}, h("thead", {}, h("tr", {}, ["when", "series", "", "change"].map((name) => h("th", {}, name)))), h("tbody", {}, signals.map((s) => {
    const { before, after } = s.evidence || {};
    return h("tr", {}, h("td", {}, when(s.ts)), h("td", {}, s.name), h("td", {}, h("span", { class: `chip ${s.severity}` }, s.detector === "recovery" ? "steady again" : s.severity)), h("td", {}, before === undefined ? number(s.statistic, 2) : `${number(before, 3)} → ${number(after, 3)}`));
  })));
}
