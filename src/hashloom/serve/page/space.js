// A community's tag space: listed tags, aliases, merging, what looks alike, denied and sensitive tags.
import { el, notice, number, percent, same, say, tagName } from "./common.js";
import { changes } from "./log.js";
import { around } from "./reasons.js";

const STEP = 100;
const separated = text => text.split(/[,、,،]/).map(tag => tag.trim().replace(/^#/, "")).filter(Boolean);
const shown = (held, key) => held.tags[key] ?? key;

export async function space(desk) {
  const [held, log, alike] = await Promise.all([
    desk.ask("GET", desk.at("spaces")), desk.ask("GET", desk.at("spaces", "/log")), desk.ask("GET", desk.at("spaces", "/duplicates")),
  ]);
  const patch = (rest, body, said) => desk.change(() => desk.ask("PATCH", desk.at("spaces", rest), { body: { ...body, ...desk.why() } }), said);
  const merge = (tags, into) => desk.change(() => desk.ask("POST", desk.at("spaces", "/merge"), { body: { tags, into, ...desk.why() } }));
  return [
    listed(desk, held, patch),
    el("div", { class: "columns" },
      el("div", {}, denied(desk, held, patch), sensitive(held, patch), aliases(held, patch), merging(merge)),
      el("div", {}, duplicates(held, alike.pairs, merge), await meant(desk, merge))),
    changes(desk, log.changes),
  ];
}

function field(id, name, about = {}) {
  return el("label", { class: "field" }, el("span", {}, say(name)), el("input", { id, dir: "auto", autocomplete: "off", maxlength: 200, autocapitalize: "off", ...about }));
}

function form(act, ...parts) {
  return el("form", { class: "inline", on: { submit: event => { event.preventDefault(); act(event.target); } } }, parts);
}

const button = (name, act, about = {}) => el("button", { type: act ? "button" : "submit", class: "small", ...about, on: act ? { click: act } : {} }, say(name));

// ---- listed tags

function listed(desk, held, patch) {
  const keys = Object.keys(held.tags).sort((a, b) => held.tags[a].localeCompare(held.tags[b]));
  const body = el("tbody"), count = el("p", { class: "fine", role: "status" }), find = field("find", "filter", { type: "search" });
  const more = button("more", () => { most += STEP; draw(); });
  let most = STEP;
  const draw = () => {
    const asked = same(find.querySelector("input").value.trim());
    const fit = keys.filter(key => !asked || key.includes(asked) || same(held.tags[key]).includes(asked));
    body.replaceChildren(...fit.slice(0, most).map(key => row(key, held, patch)));
    count.textContent = say("shown of", { n: number(Math.min(most, fit.length)), all: number(keys.length) });
    more.hidden = fit.length <= most;
  };
  find.addEventListener("input", () => { most = STEP; draw(); });
  draw();
  const head = el("thead", {}, el("tr", {}, ["tag", "description", "actions"].map(name => el("th", { scope: "col" }, say(name)))));
  return el("section", { "aria-labelledby": "space-head" },
    el("div", { class: "row" }, el("h2", { id: "space-head" }, say("view space")), el("div", { class: "row" }, button("export", () => download(held)), upload(desk))),
    state(desk, held, keys.length, patch),
    form(() => patch("", { add: separated(value("list-tag")) }), field("list-tag", "list tag", { required: true, maxlength: 2000 }), button("add")),
    keys.length ? el("div", {}, form(() => {}, find), count, el("div", { class: "scroll", tabindex: 0, role: "region", "aria-labelledby": "space-head" }, el("table", {}, head, body)), more) : null);
}

const value = id => document.getElementById(id).value.trim();

function state(desk, held, n, patch) {
  const act = async () => {
    if (held.closed || (await desk.sure(say("sure close", { n })))) patch("", { closed: !held.closed });
  };
  return el("div", { class: "row start" }, el("p", {}, say(held.closed ? "space closed" : "space open")),
    button(held.closed ? "open space" : "close space", act, { id: "toggle-closed" }));
}

function row(key, held, patch) {
  const tag = held.tags[key], input = el("input", { "aria-label": say("describe it", { tag }), value: held.describe[key] ?? "", maxlength: 1000, dir: "auto" });
  const keep = form(() => patch("/describe", { describe: { [key]: input.value.trim() || null } }), input, button("save"));
  return el("tr", {}, el("th", { scope: "row" }, tagName(tag)), el("td", {}, keep),
    el("td", { class: "act" }, button("remove", () => patch("", { remove: [key] }), { "aria-label": say("remove it", { tag }) })));
}

function download(held) {
  const { tags, closed, aliases, denied, sensitive, describe } = held;
  const url = URL.createObjectURL(new Blob([JSON.stringify({ tags, closed, aliases, denied, sensitive, describe }, null, 1)], { type: "application/json" }));
  el("a", { href: url, download: `${held.community || "tags"}.json` }).click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}

function upload(desk) {
  const file = el("input", { type: "file", accept: "application/json,.json", hidden: true, tabindex: -1, "aria-hidden": "true" });
  file.addEventListener("change", async () => {
    const text = await file.files[0]?.text();
    file.value = "";
    try {
      const { tags = {}, closed = false, aliases = {}, denied = [], sensitive = [], describe = {} } = JSON.parse(text);
      if (await desk.sure(say("sure import", { n: Object.keys(tags).length })))
        desk.change(() => desk.ask("PUT", desk.at("spaces"), { body: { tags, closed, aliases, denied, sensitive, describe, ...desk.why() } }));
    } catch {
      notice("offline", say("no space file"), "bad");
    }
  });
  return el("span", {}, button("import", () => file.click()), file);
}

// ---- denied and sensitive tags, aliases

function denied(desk, held, patch) {
  const add = async () => {
    const tags = separated(value("deny-tag"));
    if (tags.length && (await desk.sure(say("sure deny", { tag: tags.join(", ") })))) patch("/denied", { add: tags });
  };
  return el("section", { "aria-labelledby": "denied-head" }, el("h2", { id: "denied-head" }, say("denied")), el("p", { class: "fine" }, say("denied help")),
    form(add, field("deny-tag", "tag", { required: true }), button("deny")),
    chips(held.denied, "allow it", tag => patch("/denied", { remove: [tag] })));
}

function sensitive(held, patch) {
  return el("section", { "aria-labelledby": "sensitive-head" }, el("h2", { id: "sensitive-head" }, say("sensitive")), el("p", { class: "fine" }, say("sensitive help")),
    form(() => patch("/sensitive", { add: separated(value("sensitive-tag")) }), field("sensitive-tag", "tag", { required: true }), button("mark")),
    chips(held.sensitive, "unmark it", tag => patch("/sensitive", { remove: [tag] })));
}

function chips(tags, name, act) {
  return el("ul", { class: "chips" }, tags.map(tag => el("li", {}, el("button", { type: "button", "aria-label": say(name, { tag }), on: { click: () => act(tag) } }, tagName(tag), el("span", { "aria-hidden": "true" }, "×")))));
}

function aliases(held, patch) {
  const rows = Object.entries(held.aliases).sort().map(([name, end]) => el("tr", {}, el("th", { scope: "row" }, tagName(name)), el("td", {}, tagName(shown(held, end))),
    el("td", { class: "act" }, button("end", () => patch("/aliases", { aliases: { [name]: null } }), { "aria-label": say("end alias", { tag: name }) }))));
  const head = el("thead", {}, el("tr", {}, ["alias", "stands for", "actions"].map(name => el("th", { scope: "col" }, say(name)))));
  return el("section", { "aria-labelledby": "alias-head" }, el("h2", { id: "alias-head" }, say("aliases")), el("p", { class: "fine" }, say("alias help")),
    form(() => patch("/aliases", { aliases: { [value("alias")]: value("alias-of") } }), field("alias", "alias", { required: true }), field("alias-of", "stands for", { required: true }), button("add")),
    rows.length ? el("table", {}, head, el("tbody", {}, rows)) : null);
}

// ---- merging

function duplicates(held, pairs, merge) {
  const keep = (kept, gone) => el("button", { type: "button", class: "small", "aria-label": say("keep over", { tag: kept, other: gone }), on: { click: () => merge([gone], kept) } }, ...around("keep it", kept));
  const rows = pairs.slice(0, STEP).map(pair => {
    const [a, b] = pair.map(key => shown(held, key));
    return el("li", {}, el("span", { class: "below" }, tagName(a), " · ", tagName(b)), el("span", { class: "acts" }, keep(a, b), keep(b, a)));
  });
  return el("section", { "aria-labelledby": "alike-head" }, el("h2", { id: "alike-head" }, say("duplicates")),
    rows.length ? el("ul", { class: "plain" }, rows) : el("p", { class: "fine" }, say("no duplicates")));
}

// ---- what may mean the same: looked for when asked, and again after each decision

const looked = new Set();

async function meant(desk, merge) {
  const place = el("div"), head = el("h2", { id: "meant-head", tabindex: -1 }, say("meant"));
  const look = async () => {
    looked.add(desk.community());
    place.replaceChildren(el("p", { class: "fine" }, say("loading")));
    try {
      const { pairs, looked_at: n } = await desk.ask("GET", desk.at("spaces", "/alike"));
      place.replaceChildren(...(pairs.length ? [el("p", { class: "fine" }, say("meant from", { n: number(n) })), el("ul", { class: "plain" }, pairs.map(one => pair(one, merge)))] : [el("p", { class: "fine" }, say("no meant", { n: number(n) }))]));
    } catch (error) {
      place.replaceChildren(el("p", { class: "notice bad" }, error.message), button("try again", look));
    }
  };
  if (looked.has(desk.community())) await look();
  else place.append(button("meant look", async () => { head.focus(); await look(); }, { id: "look" }));
  return el("section", { "aria-labelledby": "meant-head" }, head, el("p", { class: "fine" }, say("meant help")), place);
}

function pair(one, merge) {
  const [a, b] = one.tags;
  const keep = (kept, gone) => el("button", { type: "button", class: "small", "aria-label": say("keep over", { tag: kept, other: gone }), on: { click: () => merge([gone], kept) } }, ...around("keep it", kept));
  const said = { p: percent(one.likeness), a: number(one.posts[0]), b: number(one.posts[1]), n: number(one.together) };
  return el("li", {}, tagName(a), " · ", tagName(b), el("span", { class: "fine below" }, say("alike as", said)), el("span", { class: "acts" }, keep(a, b), keep(b, a)));
}

function merging(merge) {
  return el("section", { "aria-labelledby": "merge-head" }, el("h2", { id: "merge-head" }, say("merge head")),
    form(() => merge(separated(value("merge-from")), value("merge-into")), field("merge-from", "merge from", { required: true, maxlength: 2000 }), field("merge-into", "into", { required: true }), button("merge")));
}
