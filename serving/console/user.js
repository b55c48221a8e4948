// A user's slate with its reasons; a click on an item, and how long it takes until the list knows.
import { diverging } from "./charts.js";
import { card, empty, h, json, ms, number, percent, when } from "./dom.js";

const PATIENCE_MS = 5_000;
const FIRST = ["ada", "bo", "cleo", "dag", "enid", "finn", "gus", "hana", "ivo", "june", "kit", "lou", "mio", "nell", "ole", "pia"];

export function user(host, feed, given) {
  let now = null, wanted = ""; // the slate shown, and whose it is to be
  const field = h("input", { id: "user", list: "users", placeholder: "a user, known or not", "aria-label": "User", autocomplete: "off", spellcheck: "false" });
  const known = h("datalist", { id: "users" });
  const [list, took, history, recent] = [h("ol", { class: "slate", id: "slate" }), h("div", { id: "took", role: "status" }), h("ul", { class: "feed", id: "history" }), h("div", { class: "row" })];
  const form = h("form", { class: "row", onsubmit: (event) => { event.preventDefault(); pick(field.value.trim()); } },
    field, h("button", { class: "btn main" }, "Show"), h("button", { class: "btn", type: "button", id: "invent", onclick: () => pick(invented()) }, "Invent one"), known);
  const head = h("small", {});
  const slate = card("w7", "Slate", "", list);
  slate.querySelector("h2").append(head);
  host.append(h("div", { class: "grid" }, card("", "Whose list?", "", form, h("div", { style: { height: "8px" } }), recent), slate,
    h("div", { class: "card w5", style: { alignSelf: "start" } }, h("h2", {}, "After your click"), took, h("h2", { style: { marginTop: "18px" } }, "History", h("small", {}, "what the user acted on, newest first")), history)));
  took.append(h("p", { class: "soft" }, "Click on a title: the click goes through the log, the worker folds it into the user's state, and the list is made anew."));

  async function pick(name) {
    if (!name) return;
    field.value = wanted = name;
    try { draw(await fetched(name), null); } catch (error) { list.replaceChildren(empty(error.message)); }
  }

  async function fetched(name) {
    const told = await json("/v1/console/slates", { user_id: name, n: 10 });
    const seen = told.items.map(({ item_id, position }) => ({ item_id, position }));
    if (seen.length) json("/v1/events", { type: "impression", user_id: name, request_id: told.request_id, surface: told.surface, items: seen }).catch(() => {});
    return told;
  }

  async function click(item) {
    const { user_id, request_id, surface } = now, before = now.counts.click || 0, begun = performance.now();
    const past = () => performance.now() - begun;
    list.querySelectorAll("li").forEach((row) => row.classList.toggle("gone", row.dataset.item === item.item_id));
    try {
      await json("/v1/events", { type: "click", user_id, item_id: item.item_id, request_id, surface });
      const accepted = past();
      let state = null;
      while (((state = await json(`/v1/console/users/${encodeURIComponent(user_id)}`)).counts.click || 0) <= before) {
        if (past() > PATIENCE_MS) throw new Error("The click is in the log, but no worker has folded it within 5 s. See Health.");
        await new Promise((done) => setTimeout(done, 2));
      }
      const folded = past(), was = now, after = await fetched(user_id);
      draw(after, was);
      told(item, { accepted, folded, shown: past() }, was, after);
    } catch (error) { took.replaceChildren(h("p", { class: "chip bad" }, error.message)); }
  }

  function told(item, at, was, after) {
    const old = new Set(was.items.map((one) => one.item_id));
    const fresh = after.items.filter((one) => !old.has(one.item_id)).length;
    took.dataset.ms = at.shown.toFixed(1);
    took.replaceChildren(h("div", { class: "took" }, ms(at.shown), h("small", {}, " from your click to the new list")),
      h("dl", {}, h("dt", {}, "clicked"), h("dd", {}, item.title || item.item_id), h("dt", {}, "in the log after"), h("dd", {}, ms(at.accepted)),
        h("dt", {}, "in the user's state after"), h("dd", {}, ms(at.folded)), h("dt", {}, "new list after"), h("dd", {}, ms(at.shown)), h("dt", {}, "new in the list"), h("dd", {}, `${fresh} of ${after.items.length}`)));
  }

  function draw(slate_, before) {
    now = slate_;
    const old = before && Object.fromEntries(before.items.map((one, k) => [one.item_id, k]));
    list.replaceChildren(...(slate_.items.length ? slate_.items.map((one, k) => row(one, k, old, click)) : [empty("No items yet: the catalogue is empty.")]));
    head.textContent = `of ${slate_.user_id}, policy ${slate_.policy}${slate_.flags.length ? ", " + slate_.flags.join(", ") : ""}${slate_.degraded ? ", degraded: " + slate_.degraded : ""}`;
    list.dataset.request = slate_.request_id;
    history.replaceChildren(...(slate_.history.length ? slate_.history.slice(0, 8).map((one) => h("li", {}, one.title || one.item_id, h("span", { class: "soft" }, ` · ${when(one.ts)}`))) : [empty("Nothing yet.")]));
  }

  pick(given || feed.latest?.users?.[0] || invented());
  return {
    tick(t) {
      if (!now?.items.length) pick(wanted); // the catalogue was not there yet
      known.replaceChildren(...t.users.map((name) => h("option", { value: name })));
      const names = t.users.slice(0, 6);
      if (recent.dataset.names === names.join() || recent.contains(document.activeElement)) return;
      recent.dataset.names = names.join();
      recent.replaceChildren(h("span", { class: "soft" }, names.length ? "Clicked just now:" : ""), ...names.map((name) => h("button", { class: "chip quiet", onclick: () => pick(name) }, name)));
    },
  };
}

const invented = () => `${FIRST[Math.floor(Math.random() * FIRST.length)]}-${Math.random().toString(36).slice(2, 6)}`;

function row(item, k, old, click) {
  const was = old?.[item.item_id], isNew = old && was === undefined;
  const move = !old || was === k ? "" : isNew ? "new" : was > k ? `↑${was - k}` : `↓${k - was}`;
  const order = Object.entries(item.reasons?.order ?? {}).filter(([, v]) => v).slice(0, 6);
  const said = Object.entries(item.reasons?.sources ?? {}).sort((a, b) => b[1] - a[1]).slice(0, 4).map(([name]) => name);
  return h("li", { class: isNew ? "new" : "", "data-item": item.item_id },
    h("span", { class: "k" }, k + 1), h("button", { class: "t", title: "Click it as this user", onclick: () => click(item) }, item.title || item.item_id),
    h("span", { class: isNew || was > k ? "up" : "down" }, move),
    h("div", { class: "facts" }, h("span", { class: "chip" }, item.source || "none"), h("span", {}, `score ${number(item.score, 2)}`), h("span", {}, `click ${percent(item.probability)}`), h("span", { title: "how likely this item was drawn here, given the slots above" }, `propensity ${number(item.propensity, item.propensity < 1 ? 3 : 0)}`)),
    order.length ? h("details", {}, h("summary", {}, `why: ${order.slice(0, 2).map(([name]) => name).join(", ")}`), h("p", { class: "soft" }, said.length ? `proposed by ${said.join(", ")}; what adds to its score:` : "what adds to its score:"), diverging(order)) : null);
}
