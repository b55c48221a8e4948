// Items: exposure and click rate, what is similar, and where they lie on the map of vectors.
import { bar, lines } from "./charts.js";
import { card, empty, h, json, number, percent } from "./dom.js";
import { ItemMap } from "./map.js";

const EVERY_MS = 2_000;

export function items(host, feed, given) {
  let chosen = given || null, past = [], hours = [], ended = false, rows = [];
  const field = h("input", { placeholder: "title, tag or id", "aria-label": "Search items", oninput: () => refresh() });
  const [table, similar, chart, name] = [h("div", { class: "scroll" }), h("ul", { class: "feed" }), h("div", { class: "chart" }), h("small", {})];
  const map = new ItemMap((item) => choose(item));
  const side = card("w5", "Similar items", "", similar), over = card("w7", "Exposure and click rate", "by the hour, and as it happens", chart);
  side.querySelector("h2").append(name);
  host.append(h("div", { class: "grid" }, card("w7", "Items", "the most shown first", h("div", { class: "row" }, field), h("div", { style: { height: "8px" } }), table),
    card("w5", "Map", "item vectors on their two principal axes, by first tag", map.node), over, side));
  const plot = lines(chart, [{ label: "impressions a second", colour: "random" }, { label: "click rate × 100", colour: "policy" }], (v) => number(v, 1));

  async function refresh() {
    try {
      const told = await json(`/v1/console/items?n=150&q=${encodeURIComponent(field.value)}`);
      if (ended) return;
      rows = told.items;
      chosen = chosen ?? rows[0]?.item_id ?? null;
      draw();
      note(told.ts);
    } catch (error) { table.replaceChildren(empty(error.message)); }
  }

  function draw() {
    if (!rows.length) { table.replaceChildren(empty("No item matches.")); return; }
    const most = Math.max(...rows.map((row) => row.shown), 1);
    const at = table.scrollTop;
    table.replaceChildren(h("table", {}, h("thead", {}, h("tr", {}, h("th", {}, "item"), h("th", { style: { width: "22%" } }, ""), h("th", { class: "n" }, "shown"), h("th", { class: "n" }, "clicked"), h("th", { class: "n" }, "click rate"))),
      h("tbody", {}, rows.map((row) => h("tr", { class: row.item_id === chosen ? "pick on" : "pick", tabindex: 0, onclick: () => choose(row.item_id), onkeydown: (e) => e.key === "Enter" && choose(row.item_id) },
        h("td", {}, row.title || row.item_id, " ", row.tags.slice(0, 2).map((tag) => [h("span", { class: "chip" }, tag), " "])), h("td", {}, bar(row.shown / most)),
        h("td", { class: "n" }, number(row.shown)), h("td", { class: "n" }, number(row.clicked)), h("td", { class: "n", title: "decayed and shrunk to its surface's rate" }, percent(row.rate)))))));
    table.scrollTop = at;
  }

  function note(ts) {
    const row = rows.find((one) => one.item_id === chosen);
    if (!row) return;
    past.push({ ts, shown: row.shown, rate: row.rate });
    past = past.slice(-300);
    const speed = past.map((one, k) => (k ? (1000 * (one.shown - past[k - 1].shown)) / Math.max(one.ts - past[k - 1].ts, 1) : null));
    plot.draw([[...hours.map((one) => one.ts / 1000), ...past.map((one) => one.ts / 1000)], [...hours.map((one) => one.shown / 3600), ...speed],
      [...hours.map((one) => (one.shown ? (100 * one.clicked) / one.shown : null)), ...past.map((one) => 100 * one.rate)]]);
  }

  async function choose(item) {
    chosen = item;
    past = [];
    hours = [];
    draw();
    map.choose(item);
    json(`/v1/console/items/${encodeURIComponent(item)}/history`).then((told) => {
      if (item === chosen) hours = told.hours.slice(0, -1).filter((one) => one.shown || one.clicked); // of the hour under way what is live says more
    }).catch(() => {});
    name.textContent = `to ${rows.find((row) => row.item_id === item)?.title || item}`;
    try {
      const told = await json(`/v1/items/${encodeURIComponent(item)}/similar?n=8`);
      similar.replaceChildren(...(told.items.length ? told.items.map((one) => h("li", {}, h("button", { class: "quiet", onclick: () => choose(one.item_id) }, one.title || one.item_id), " ", one.tags.slice(0, 2).map((tag) => [h("span", { class: "chip" }, tag), " "]), h("span", { class: "soft" }, number(one.score, 3)))) : [empty("Nothing yet.")]));
    } catch (error) { similar.replaceChildren(empty(error.message)); }
  }

  refresh().then(() => chosen && choose(chosen));
  map.load();
  const timer = setInterval(() => { if (!document.hidden) refresh(); }, EVERY_MS);
  const slow = setInterval(() => { if (!document.hidden) map.load(); }, 5 * EVERY_MS);
  return { end() { ended = true; clearInterval(timer); clearInterval(slow); plot.end(); map.end(); } };
}
