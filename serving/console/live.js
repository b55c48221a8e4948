// What happens now: figures, lines of the last minutes, the share of each source, drift signals as they come.
import { bar, bins, lines } from "./charts.js";
import { card, empty, h, ms, number, percent, rate, when } from "./dom.js";

const ARMS = { policy: "ranked slates", popular: "from popularity", random: "random draws" };

export function live(host, feed) {
  const stat = (name) => { const value = h("b", {}, "–"); host.firstChild.append(h("section", { class: "card w2 stat" }, value, h("span", {}, name))); return value; };
  host.append(h("div", { class: "grid" }));
  const grid = host.firstChild;
  const figures = {
    events: stat("events a second"), fresh: stat("freshness, p50 / p99"), api: stat("API answer, p50 / p99"),
    clicks: stat("click rate, ranked slates"), signals: stat("drift signals"), dead: stat("dead letters"),
  };
  const [events, clicks, latency] = [h("div", { class: "chart" }), h("div", { class: "chart" }), h("div", { class: "chart" })];
  const [histogram, sources, signals] = [h("div"), h("div", { class: "scroll" }), h("ul", { class: "feed" })];
  grid.append(
    card("w8", "Click rate", "of slots shown, fading with a half-life of two minutes", clicks),
    card("w4", "Freshness", "from a click in the log to the user's new slate", histogram),
    card("w4", "Events a second", "", events),
    card("w4", "Latency", "p50", latency),
    card("w4", "Drift signals", "newest first", h("div", { class: "scroll", style: { maxHeight: "230px" } }, signals)),
    card("", "Sources", "share of slots shown, share of clicks, click rate", sources),
  );
  const charts = [
    lines(clicks, [{ label: ARMS.policy, colour: "policy", fill: true }, { label: ARMS.popular, colour: "popular" }, { label: ARMS.random, colour: "random" }], (v) => percent(v)),
    lines(events, [{ label: "events/s", colour: "policy", fill: true }], (v) => number(v)),
    lines(latency, [{ label: "click to new slate", colour: "policy" }, { label: "API", colour: "random" }], ms),
  ];

  function draw() {
    const ts = feed.ticks.map((t) => t.ts / 1000);
    charts[0].draw([ts, ...Object.keys(ARMS).map((arm) => feed.ticks.map((t) => rate(t.arms[arm])))]);
    charts[1].draw([ts, feed.ticks.map((t) => t.events_per_s)]);
    charts[2].draw([ts, feed.ticks.map((t) => t.freshness.p50), feed.ticks.map((t) => t.latency.p50)]);
  }

  return {
    tick(t) {
      const pair = ({ p50, p99 }) => [ms(p50), h("em", {}, ` / ${ms(p99)}`)];
      figures.events.textContent = number(t.events_per_s);
      figures.fresh.replaceChildren(...pair(t.freshness));
      figures.api.replaceChildren(...pair([...feed.ticks].reverse().find((one) => one.latency.n)?.latency ?? t.latency));
      figures.clicks.textContent = percent(rate(t.arms.policy));
      figures.signals.textContent = number(t.signals.length);
      figures.dead.textContent = number(t.dead);
      histogram.replaceChildren(bins(t.freshness.edges, t.freshness.counts, "ms"));
      sources.replaceChildren(sourceTable(t.sources));
      signals.replaceChildren(...(t.signals.length ? [...t.signals].reverse().slice(0, 12).map(signal) : [empty("Nothing has drifted.")]));
      draw();
    },
    end() { charts.forEach((chart) => chart.end()); },
  };
}

function sourceTable(sources) {
  const rows = Object.entries(sources).filter(([, row]) => row[0] >= 0.5).sort((a, b) => b[1][0] - a[1][0]);
  if (!rows.length) return empty("Nobody has been shown anything yet.");
  const shown = rows.reduce((sum, [, row]) => sum + row[0], 0), clicked = rows.reduce((sum, [, row]) => sum + row[2], 0) || 1;
  return h("table", {}, h("thead", {}, h("tr", {}, h("th", {}, "source"), h("th", { style: { width: "45%" } }, "shown ", h("span", { class: "soft" }, "/ clicked")), h("th", { class: "n" }, "shown"), h("th", { class: "n" }, "clicked"), h("th", { class: "n" }, "click rate"))),
    h("tbody", {}, rows.map(([name, row]) => h("tr", {}, h("td", {}, name), h("td", {}, bar(row[0] / shown), bar(row[2] / clicked, true)),
      h("td", { class: "n" }, percent(row[0] / shown)), h("td", { class: "n" }, percent(row[2] / clicked)), h("td", { class: "n" }, percent(rate(row)))))));
}

export function signal(s) {
  const { before, after } = s.evidence || {};
  const change = before === undefined ? number(s.statistic, 3) : `${number(before, 3)} → ${number(after, 3)}`;
  return h("li", {}, h("span", { class: `chip ${s.severity}` }, s.detector === "recovery" ? "steady again" : s.severity), " ", h("b", {}, s.name), " ", change,
    h("div", { class: "soft" }, `${when(s.ts)} · ${s.detector} · ${s.runbook}`));
}
