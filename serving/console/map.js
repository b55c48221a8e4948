// Item vectors in two dimensions on a canvas; hover tells the title, a click chooses. The table beside it is for keys.
import { colour, empty, h, json } from "./dom.js";

const HUES = [174, 32, 250, 345, 210, 90, 290, 55, 130, 10];
const NEAR_PX = 14;

export class ItemMap {
  constructor(choose) {
    this.points = [];
    this.chosen = null;
    this.canvas = h("canvas", { class: "map", role: "img", "aria-label": "Map of item vectors" });
    this.tip = h("div", { class: "tip" });
    this.legend = h("div", { class: "legend" });
    this.node = h("div", { class: "rel" }, this.canvas, this.tip, this.legend);
    this.canvas.onmousemove = (event) => this.hover(this.nearest(event));
    this.canvas.onmouseleave = () => this.hover(null);
    this.canvas.onclick = (event) => { const point = this.nearest(event); if (point) choose(point.item_id); };
    this.sized = new ResizeObserver(() => this.draw());
    this.sized.observe(this.canvas);
  }

  async load() {
    try { this.points = (await json("/v1/console/map")).points; } catch { return; }
    const tags = new Map();
    for (const { tags: [tag] } of this.points) if (tag) tags.set(tag, (tags.get(tag) || 0) + 1);
    const common = [...tags].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1)).slice(0, HUES.length).map(([tag]) => tag).sort();
    this.hue = new Map(common.map((tag, k) => [tag, HUES[k]]));
    this.legend.replaceChildren(...(this.points.length ? common.map((tag) => h("span", {}, h("i", { style: { background: this.shade(tag) } }), tag)) : [empty("Vectors come with the first clicks.")]));
    this.draw();
  }

  shade(tag) {
    const light = document.documentElement.dataset.theme === "dark" ? 65 : 45;
    return this.hue?.has(tag) ? `hsl(${this.hue.get(tag)} 65% ${light}%)` : colour("soft");
  }

  choose(item) { this.chosen = item; this.draw(); }

  at(point) { return [this.wide * (0.5 + 0.46 * point.x), this.high * (0.5 - 0.46 * point.y)]; }

  draw() {
    const ratio = devicePixelRatio || 1;
    [this.wide, this.high] = [this.canvas.clientWidth, this.canvas.clientHeight];
    [this.canvas.width, this.canvas.height] = [this.wide * ratio, this.high * ratio];
    const pen = this.canvas.getContext("2d");
    pen.scale(ratio, ratio);
    const most = Math.max(...this.points.map((point) => point.shown), 1);
    for (const point of this.points) {
      const [x, y] = this.at(point), mine = point.item_id === this.chosen;
      pen.globalAlpha = mine ? 1 : 0.72;
      pen.fillStyle = this.shade(point.tags[0]);
      pen.beginPath();
      pen.arc(x, y, 2.5 + 5 * Math.sqrt(point.shown / most), 0, 7);
      pen.fill();
      if (mine) { pen.strokeStyle = colour("ink"); pen.lineWidth = 2; pen.stroke(); }
    }
  }

  nearest(event) {
    let best = null, least = NEAR_PX ** 2;
    for (const point of this.points) {
      const [x, y] = this.at(point), far = (x - event.offsetX) ** 2 + (y - event.offsetY) ** 2;
      if (far < least) [best, least] = [point, far];
    }
    return best;
  }

  hover(point) {
    this.tip.style.display = point ? "block" : "none";
    if (!point) return;
    const [x, y] = this.at(point);
    Object.assign(this.tip.style, { left: `${x}px`, top: `${y}px` });
    this.tip.textContent = `${point.title || point.item_id} · ${point.tags.join(", ")}`;
  }

  end() { this.sized.disconnect(); }
}
