// Lines by uPlot; bars, bins and the calibration plot as plain elements.
import { colour, h, number, svg } from "./dom.js";

// lines: [{label, colour, value}], where value formats a number
export function lines(host, series, axis) {
  const soft = colour("soft"), grid = colour("line");
  const options = {
    width: Math.max(host.clientWidth, 200), height: 200, padding: [8, 26, 0, 0],
    scales: { y: { range: (_, low, high) => [0, high > 0 ? high * 1.15 : 1] } },
    axes: [
      { stroke: soft, grid: { show: false }, ticks: { stroke: grid, width: 1 }, font: "11px system-ui, sans-serif", space: 70, values: (_, times) => times.map(clock) },
      { stroke: soft, grid: { stroke: grid, width: 1 }, ticks: { show: false }, size: 52, font: "11px system-ui, sans-serif", values: (_, ticks) => ticks.map(axis) },
    ],
    series: [
      { value: (_, t) => (t ? clock(t) : "–") },
      ...series.map((s) => ({ label: s.label, stroke: colour(s.colour), width: 2, spanGaps: true, points: { show: false }, fill: s.fill ? `${colour(s.colour)}22` : undefined, value: (_, v) => (v === null ? "–" : axis(v)) })),
    ],
    cursor: { y: false },
  };
  const plot = new window.uPlot(options, [[], ...series.map(() => [])], host);
  const sized = new ResizeObserver(() => plot.setSize({ width: Math.max(host.clientWidth, 200), height: 200 }));
  sized.observe(host);
  return { draw: (columns) => plot.setData(columns), end: () => { sized.disconnect(); plot.destroy(); } };
}

const clock = (seconds) => new Date(1000 * seconds).toLocaleTimeString("en", { hour12: false });

export function bins(edges, counts, unit) {
  const most = Math.max(...counts, 1e-9), total = counts.reduce((a, b) => a + b, 0);
  const named = counts.map((_, k) => (k < edges.length ? `≤${short(edges[k])}` : `>${short(edges.at(-1))}`));
  const label = `Histogram of ${unit}: ` + named.map((name, k) => `${name}: ${number((100 * counts[k]) / Math.max(total, 1e-9))} %`).join(", ");
  return h("div", { class: "bins", role: "img", "aria-label": label }, counts.map((count, k) =>
    h("div", { title: `${named[k]} ${unit}: ${number((100 * count) / Math.max(total, 1e-9), 1)} %` }, h("i", { style: { height: `${(165 * count) / most}px` } }), named[k])));
}

const short = (value) => (value >= 1000 ? `${value / 1000}k` : `${value}`);

// [name, value] pairs around zero
export function diverging(pairs, digits = 2) {
  const most = Math.max(...pairs.map(([, value]) => Math.abs(value)), 1e-9);
  return h("div", { class: "div" }, pairs.map(([name, value]) => {
    const wide = `${(50 * Math.abs(value)) / most}%`;
    const style = value < 0 ? { right: "50%", width: wide } : { left: "50%", width: wide };
    return [h("span", { class: "name", title: name }, name), h("span", { class: "axis" }, h("i", { class: value < 0 ? "neg" : "", style })), h("span", { class: "v" }, number(value, digits))];
  }));
}

export const bar = (share, alt = false) => h("span", { class: alt ? "bar alt" : "bar", style: { width: `${Math.min(100 * share, 100)}%` } });

// predicted against observed, rows of [shown, predicted, clicked]
export function calibration(rows) {
  const points = rows.filter(([shown]) => shown >= 20).map(([n, predicted, clicked]) => ({ n, x: predicted / n, y: clicked / n }));
  const most = Math.min(1, Math.max(0.05, ...points.flatMap((p) => [p.x, p.y])) * 1.15);
  const size = 260, at = (v) => 40 + (size - 50) * (v / most), up = (v) => size - at(v) + 10;
  const marks = [0, most / 2, most].flatMap((v) => [
    svg("text", { x: at(v), y: size - 12, "text-anchor": "middle" }, `${number(100 * v, 1)}%`),
    svg("text", { x: 34, y: up(v) + 4, "text-anchor": "end" }, `${number(100 * v, 1)}%`),
    svg("line", { x1: 40, x2: at(most), y1: up(v), y2: up(v), stroke: "var(--line)" })]);
  const dots = points.map((p) => svg("circle", { cx: at(p.x), cy: up(p.y), r: 3 + Math.min(7, Math.sqrt(p.n) / 6), fill: "var(--policy)", "fill-opacity": .75 },
    svg("title", {}, `predicted ${number(100 * p.x, 2)} %, observed ${number(100 * p.y, 2)} %, ${number(p.n)} shown`)));
  const path = points.length > 1 ? [svg("polyline", { points: points.map((p) => `${at(p.x)},${up(p.y)}`).join(" "), fill: "none", stroke: "var(--policy)", "stroke-width": 2 })] : [];
  const ideal = svg("line", { x1: at(0), y1: up(0), x2: at(most), y2: up(most), stroke: "var(--soft)", "stroke-dasharray": "4 4" });
  return svg("svg", { viewBox: `0 0 ${size} ${size}`, width: "100%", style: "max-height:300px", role: "img", "aria-label": "Predicted click probability against observed click rate" }, ...marks, ideal, ...path, ...dots);
}
