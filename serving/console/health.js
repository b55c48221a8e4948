// Health: readiness, lag by partition, dead letters with their reasons, what is degraded.
import { bar } from "./charts.js";
import { card, empty, h, json, number } from "./dom.js";

const EVERY_MS = 2_000;
const MEANS = {
  degraded: "answers without a part", served_stale: "answers from the last good slate", pipeline_failed: "slates that could not be made",
  exposures_not_logged: "slates shown and not logged", deltas_refused: "deltas refused", catalog_rejected: "catalogue entries refused",
};

export function health(host) {
  const [state, lag, letters, degraded, facts] = [h("div"), h("div"), h("div", { class: "scroll" }), h("div"), h("dl")];
  host.append(h("div", { class: "grid" }, card("w4", "Readiness", "", state, h("div", { style: { height: "12px" } }), facts), card("w4", "Lag by partition", "records not yet folded", lag),
    card("w4", "Degraded", "since this process began", degraded), card("", "Dead letters", "records that could not be folded, newest first", letters)));

  async function refresh() {
    try {
      const told = await json("/v1/console/health");
      state.replaceChildren(h("span", { class: `chip ${told.ready ? "ok" : "bad"}` }, told.ready ? "ready" : "not ready"), ...Object.entries(told.lacking).map(([part, why]) => h("p", {}, h("b", {}, part), ": ", why)));
      facts.replaceChildren(...pairs({ "items with a name": number(told.items), "items described": number(told.described), "requests answered": number(told.stats.requests || 0) }));
      lag.replaceChildren(told.partitions.length ? lags(told.partitions) : empty("Redis does not answer."));
      degraded.replaceChildren(...troubles(told));
    } catch (error) { state.replaceChildren(h("span", { class: "chip bad" }, error.message)); }
  }

  refresh();
  const timer = setInterval(() => { if (!document.hidden) refresh(); }, EVERY_MS);
  return {
    tick(t) {
      if (!t.letters.length) { letters.replaceChildren(empty("No dead letters.")); return; }
      letters.replaceChildren(h("table", {}, h("thead", {}, h("tr", {}, ["reason", "detail", "where"].map((name) => h("th", {}, name)))),
        h("tbody", {}, [...t.letters].reverse().map((one) => h("tr", {}, h("td", {}, h("span", { class: "chip warning" }, one.reason)), h("td", {}, one.field ? `${one.field}: ` : "", one.detail), h("td", { class: "mono" }, `${one.topic}-${one.partition} @ ${one.offset}`))))));
    },
    end() { clearInterval(timer); },
  };
}

const pairs = (values) => Object.entries(values).flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]);

function lags(partitions) {
  const most = Math.max(...partitions.map((one) => one.lag || 0), 100);
  return h("div", { class: "scroll", style: { maxHeight: "260px" } }, h("table", {}, h("tbody", {}, partitions.map((one) => h("tr", {}, h("td", {}, one.partition), h("td", { style: { width: "55%" } }, bar((one.lag || 0) / most, one.lag > 1000)),
    h("td", { class: "n" }, one.lag === null ? "–" : number(one.lag)), h("td", { class: "n soft" }, `at ${number(one.position)}`))))));
}

function troubles(told) {
  const failed = Object.entries(told.failed).map(([source, n]) => h("p", {}, h("span", { class: "chip bad" }, number(n)), ` source ${source} gave no answer`));
  const counted = Object.entries(MEANS).filter(([name]) => told.stats[name]).map(([name, text]) => h("p", {}, h("span", { class: "chip warning" }, number(told.stats[name])), ` ${text}`));
  return [...failed, ...counted, ...(failed.length || counted.length ? [] : [empty("Nothing is degraded.")])];
}
