// Elements from plain values, and numbers as people read them. Text is always set as text, never as markup.

export function h(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === false || value === null || value === undefined) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "style") Object.assign(node.style, value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

export function svg(tag, attributes = {}, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

export const card = (width, title, small, ...body) =>
  h("section", { class: `card ${width}` }, h("h2", {}, title, small ? h("small", {}, small) : null), ...body);

export const empty = (text) => h("p", { class: "empty" }, text);

export function number(value, digits = 0) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  return value.toLocaleString("en", { maximumFractionDigits: digits, minimumFractionDigits: digits });
}

export function ms(value) {
  if (value === null || value === undefined) return "–";
  if (value >= 1_000) return `${number(value / 1000, value < 10_000 ? 1 : 0)} s`;
  return value < 10 ? `${number(value, 1)} ms` : `${number(value)} ms`;
}

export const percent = (share, digits = 1) =>
  share === null || share === undefined || Number.isNaN(share) ? "–" : `${number(100 * share, digits)} %`;

export const rate = ([shown, , clicked], least = 20) => (shown >= least ? clicked / shown : null);

export const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

export const when = (ts) => new Date(ts).toLocaleTimeString("en", { hour12: false });

export async function json(path, body) {
  const request = body === undefined ? {} : { method: "POST", body: JSON.stringify(body), headers: { "content-type": "application/json" } };
  const answer = await fetch(path, request);
  const told = await answer.json();
  if (!answer.ok) throw new Error(told.detail || `${answer.status} ${answer.statusText}`);
  return told;
}
