// Which view is shown, the stream of ticks they all share, light and dark, and keys.
import { experiments } from "./experiments.js";
import { health } from "./health.js";
import { items } from "./items.js";
import { live } from "./live.js";
import { models } from "./models.js";
import { user } from "./user.js";

const VIEWS = { live, user, items, models, experiments, health };
const KEPT = 300;
const view = document.getElementById("view");
const feed = { ticks: [], latest: null };
let shown = { tick() {}, end() {} };

function show() {
  const [name, argument] = decodeURIComponent(location.hash.slice(1) || "live").split("/");
  const make = VIEWS[name] || live;
  shown.end?.();
  view.replaceChildren();
  for (const link of document.querySelectorAll("nav a")) {
    if (link.hash === `#${VIEWS[name] ? name : "live"}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  shown = make(view, feed, argument);
  if (feed.latest) shown.tick?.(feed.latest);
}

function listen() {
  const source = new EventSource("/v1/live");
  source.onopen = () => told("ok", "live");
  source.onerror = () => told("bad", "no connection, trying again");
  source.onmessage = (message) => {
    const tick = JSON.parse(message.data);
    if (tick.history) { feed.ticks = tick.history; return; }
    feed.ticks.push(tick);
    if (feed.ticks.length > KEPT) feed.ticks.shift();
    feed.latest = tick;
    shown.tick?.(tick);
  };
}

function told(state, text) {
  const place = document.getElementById("state");
  place.firstElementChild.className = `dot ${state}`;
  place.lastElementChild.textContent = text;
}

function theme(name) {
  document.documentElement.dataset.theme = name;
  localStorage.setItem("freshet-theme", name);
  show();
}

const isDark = () => document.documentElement.dataset.theme === "dark";
document.getElementById("theme").onclick = () => theme(isDark() ? "light" : "dark");
addEventListener("hashchange", () => { show(); view.focus({ preventScroll: true }); });
addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || /INPUT|SELECT|TEXTAREA/.test(event.target.tagName)) return;
  const link = document.querySelector(`nav a[data-key="${CSS.escape(event.key)}"]`);
  if (link) location.hash = link.hash;
  else if (event.key === "t") theme(isDark() ? "light" : "dark");
  else if (event.key === "/") { const field = view.querySelector("input"); if (field) { event.preventDefault(); field.focus(); } }
});

document.documentElement.dataset.theme = localStorage.getItem("freshet-theme") || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
window.freshet = feed;
show();
listen();
