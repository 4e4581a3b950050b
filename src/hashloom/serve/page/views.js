// What is used now, how suggestions fared day by day, and posts whose tags want a look.
import { el, language, number, percent, same, say, svg, tagName } from "./common.js";

export async function trends(desk) {
  const { trends: rows } = await desk.ask("GET", desk.at("trends", "?k=50"));
  const most = Math.max(...rows.map(one => one.worth), 0);
  const head = el("thead", {}, el("tr", {}, el("th", { scope: "col" }, say("tag")), el("th", { scope: "col" }, say("worth")), ["authors", "uses"].map(name => el("th", { scope: "col", class: "n" }, say(name)))));
  const track = worth => el("span", { class: "track", role: "img", "aria-label": number(worth, 3) }, svg("svg", { viewBox: "0 0 100 8", preserveAspectRatio: "none" }, svg("rect", { width: most ? (100 * worth) / most : 0, height: 8 })));
  const body = rows.map(one => el("tr", {}, el("th", { scope: "row" }, tagName(one.tag)), el("td", {}, track(one.worth)), el("td", { class: "n" }, number(one.authors)), el("td", { class: "n" }, number(one.uses))));
  return [el("section", { "aria-labelledby": "trends-head" }, el("h2", { id: "trends-head" }, say("trends")), el("p", { class: "fine" }, say("trends help")),
    rows.length ? el("table", {}, head, el("tbody", {}, body)) : el("p", {}, say("no trends")))];
}

// ---- quality

let span = 30;
const KINDS = ["accepted", "typed", "rejected"];

export async function quality(desk) {
  const { days } = await desk.ask("GET", desk.at("quality", `?days=${span}`));
  const choose = el("select", { id: "span", on: { change: event => { span = Number(event.target.value); desk.open().then(() => document.getElementById("span")?.focus()); } } },
    [7, 30, 90, 365].map(n => el("option", { value: n, selected: n === span }, String(n))));
  const sum = name => days.reduce((all, day) => all + day[name], 0);
  const totals = Object.fromEntries(["shown", ...KINDS].map(name => [name, sum(name)]));
  const some = Object.values(totals).some(n => n > 0);
  const tile = (name, value) => el("div", { class: "tile" }, el("dt", {}, say(name)), el("dd", {}, value));
  const tiles = el("dl", { class: "tiles" }, Object.entries(totals).map(([name, n]) => tile(name, number(n))), tile("rate", totals.shown ? percent(totals.accepted / totals.shown) : "–"));
  return [el("section", { "aria-labelledby": "quality-head" },
    el("div", { class: "row" }, el("h2", { id: "quality-head" }, say("quality")), el("label", { class: "inline narrow" }, el("span", { class: "fine" }, say("days")), choose)),
    some ? [tiles, legend(), chart(days, totals), table(days)] : el("p", {}, say("no quality")))];
}

function legend() {
  return el("ul", { class: "legend chart" }, KINDS.map(name => el("li", {}, svg("svg", { viewBox: "0 0 14 14", "aria-hidden": "true" }, svg("rect", { class: name, width: 14, height: 14, rx: 3 })), say(name))));
}

/** A day without feedback has a place of its own, so that time runs evenly. */
function every(days) {
  const by = new Map(days.map(day => [day.day, day])), made = [], today = new Date().toISOString().slice(0, 10);
  const last = [today, ...by.keys()].sort().at(-1);
  for (let back = span - 1; back >= 0; back--) {
    const day = new Date(Date.parse(last) - back * 864e5).toISOString().slice(0, 10);
    made.push(by.get(day) ?? { day, shown: 0, accepted: 0, rejected: 0, typed: 0 });
  }
  return made;
}

const nice = most => [1, 2, 4, 5, 10].map(n => n * 10 ** Math.floor(Math.log10(Math.max(most, 1)))).find(n => n >= most);

/** Taken and typed by hand above the line, refused below it. */
function chart(days, totals) {
  const rows = every(days), up = Math.max(...rows.map(d => d.accepted + d.typed), 0), down = Math.max(...rows.map(d => d.rejected), 0);
  const most = nice(Math.max(up, down, 1)), height = 90, zero = 14 + height, wide = 680 / rows.length, bar = Math.max(1, Math.min(28, wide * 0.72));
  const y = n => (height * n) / most, made = [];
  for (const n of [most, most / 2, 0, -most / 2, -most])
    made.push(svg("line", { class: n ? "lines" : "axis", x1: 44, x2: 730, y1: zero - y(n), y2: zero - y(n) }), svg("text", { x: 38, y: zero - y(n) + 4, "text-anchor": "end" }, Number.isInteger(n) ? number(Math.abs(n)) : ""));
  rows.forEach((day, at) => {
    const x = 46 + at * wide + (wide - bar) / 2;
    const rect = (name, from, n) => n && made.push(svg("rect", { class: name, x, y: from, width: bar, height: y(n) }, svg("title", {}, `${day.day}: ${say(name)} ${n}`)));
    rect("accepted", zero - y(day.accepted), day.accepted);
    rect("typed", zero - y(day.accepted + day.typed), day.typed);
    rect("rejected", zero, day.rejected);
    if (at % Math.ceil(rows.length / 6) === 0) made.push(svg("text", { x: x + bar / 2, y: zero + height + 18, "text-anchor": "middle" }, date(day.day)));
  });
  return svg("svg", { class: "chart", viewBox: "0 0 740 226", role: "img", "aria-label": say("chart says", totals) }, made);
}

const date = day => new Intl.DateTimeFormat(language(), { month: "short", day: "numeric", timeZone: "UTC" }).format(new Date(day));

function table(days) {
  const names = ["shown", ...KINDS];
  const head = el("thead", {}, el("tr", {}, el("th", { scope: "col" }, say("day")), names.map(name => el("th", { scope: "col", class: "n" }, say(name)))));
  const body = [...days].reverse().map(day => el("tr", {}, el("th", { scope: "row" }, day.day), names.map(name => el("td", { class: "n" }, number(day[name])))));
  return el("details", {}, el("summary", {}, say("all numbers")), el("table", {}, head, el("tbody", {}, body)));
}

// ---- review

export async function review(desk) {
  const { posts } = await desk.ask("GET", desk.at("review"));
  return [el("section", { "aria-labelledby": "review-head" }, el("h2", { id: "review-head" }, say("review")), el("p", { class: "fine" }, say("review help")),
    posts.length ? posts.map((post, at) => waiting(desk, post, at)) : el("p", {}, say("no review")))];
}

function waiting(desk, post, at) {
  const own = new Set(post.tags.map(same)), further = el("input", { id: `more-${at}`, dir: "auto", autocomplete: "off", maxlength: 2000 });
  const picks = [...post.tags, ...post.suggested.filter(tag => !own.has(same(tag)))].map(tag => el("label", { class: "pick" },
    el("input", { type: "checkbox", value: tag, checked: own.has(same(tag)) }), tagName(tag), el("span", { class: "fine" }, say(own.has(same(tag)) ? "own" : "proposed"))));
  const save = event => {
    event.preventDefault();
    const tags = [...event.target.querySelectorAll(":checked")].map(box => box.value).concat(further.value.split(/[,、,،]/).map(tag => tag.trim().replace(/^#/, "")).filter(Boolean));
    desk.change(() => desk.ask("PATCH", desk.at("posts", `/${encodeURIComponent(post.id)}`), { body: { tags, reviewed: true } }), say("heard review", { id: post.id }));
  };
  return el("article", { "aria-label": post.id }, el("div", { class: "row" }, el("h3", {}, el("bdi", {}, post.id)), el("span", { class: "badge other" }, say("doubt", { p: percent(post.doubt) }))),
    el("blockquote", { dir: "auto" }, post.text || "–"),
    el("form", { on: { submit: save } }, el("fieldset", {}, el("legend", {}, say("tags of", { id: post.id })), picks),
      el("div", { class: "inline" }, el("label", { class: "field" }, el("span", {}, say("more tags")), further), el("button", { type: "submit", class: "strong" }, say("save review")))));
}
