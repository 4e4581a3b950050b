// Models: what answers now, what the store holds, and how a candidate fares on live drafts.
import { el, moment, number, say } from "./common.js";

const brief = digest => (digest ? digest.slice(0, 12) : "–");

export async function models(desk) {
  const [held, health] = await Promise.all([desk.ask("GET", "models"), desk.ask("GET", "status")]);
  const act = (name, verb, body) => desk.change(() => desk.ask("POST", `models/${encodeURIComponent(name)}/${verb}`, { body }));
  return [
    el("section", { "aria-labelledby": "now-head" }, el("h2", { id: "now-head" }, say("answering")), tiles(held, health)),
    el("section", { "aria-labelledby": "models-head" }, el("h2", { id: "models-head" }, say("models")),
      held.models.length ? table(desk, held, act) : el("p", {}, say("no models"))),
    held.shadow ? el("section", { "aria-labelledby": "shadow-head" }, el("h2", { id: "shadow-head" }, say("shadow head")), facts(held.shadow)) : null,
    Object.keys(held.refused).length ? el("section", { "aria-labelledby": "refused-head" }, el("h2", { id: "refused-head" }, say("refused head")), facts(held.refused)) : null,
  ].filter(Boolean);
}

function tiles(held, health) {
  const rows = [
    ["answering", brief(held.serving.recommender)], ["previous", brief(held.serving.previous)], ["forecaster", brief(held.serving.forecaster)],
    ["shadow", brief(held.serving.shadow)], ["posts", number(health.posts)], ["behind", say("seconds", { n: number(health.behind_seconds, 1) })],
  ];
  if (health.trouble) rows.push(["trouble", health.trouble]);
  return el("dl", { class: "tiles" }, rows.map(([name, value]) => el("div", { class: "tile" }, el("dt", {}, say(name)), el("dd", {}, value))));
}

const told = value => (typeof value === "number" ? number(value, 4) : typeof value === "string" ? value : JSON.stringify(value));

function facts(found) {
  return el("table", {}, el("tbody", {}, Object.entries(found).map(([name, value]) => el("tr", {}, el("th", { scope: "row" }, name), el("td", {}, told(value))))));
}

/** What is known of a model in a few words: its recipe, what it learnt from, what it was measured at. */
function report(found) {
  const measured = { ...found.metrics, ...found.retrained }, said = [];
  if (found.recipe) said.push(String(found.recipe));
  if (found.learnt_from?.posts) said.push(say("learnt from", { n: number(found.learnt_from.posts) }));
  for (const [name, value] of Object.entries(measured)) if (typeof value === "number") said.push(`${name.toUpperCase()} ${number(value, 4)}`);
  return said;
}

function table(desk, held, act) {
  const names = [...new Set(held.models.map(one => one.name))].sort((a, b) => (b === "recommender") - (a === "recommender"));
  const head = el("thead", {}, el("tr", {}, ["digest", "added", "state", "report", "actions"].map(name => el("th", { scope: "col" }, say(name)))));
  return el("div", {}, names.map(name => {
    const rows = held.models.filter(one => one.name === name);
    const back = el("button", { type: "button", class: "small", disabled: !rows.some(one => one.previous), on: { click: async () => { if (await desk.sure(say("sure roll back", { name }))) act(name, "rollback"); } } }, say("roll back", { name }));
    const title = el("div", { class: "row" }, el("h3", { id: `models-${name}` }, name), back);
    return el("div", { class: "block" }, title, el("div", { class: "scroll", tabindex: 0, role: "region", "aria-labelledby": `models-${name}` },
      el("table", { "aria-labelledby": `models-${name}` }, head.cloneNode(true), el("tbody", {}, rows.map(one => row(desk, one, act, name === "recommender"))))),
      ...rows.filter(one => Object.keys(one.facts).length).map(noted));
  }));
}

const noted = one => el("details", {}, el("summary", {}, say("all facts", { digest: brief(one.digest) })),
  el("pre", { tabindex: 0, role: "region", "aria-label": say("all facts", { digest: brief(one.digest) }) }, JSON.stringify(one.facts, null, 2)));

function row(desk, one, act, canShadow) {
  const digest = brief(one.digest), button = (name, label, work) => el("button", { type: "button", class: "small", "aria-label": label, on: { click: work } }, say(name));
  const publish = async () => { if (await desk.sure(say("sure publish", { name: one.name, digest }))) act(one.name, "publish", { digest: one.digest }); };
  const acts = [];
  if (!one.published) acts.push(button("publish", say("publish it", { digest }), publish));
  if (one.shadow) acts.push(button("shadow off", say("shadow off"), () => act(one.name, "shadow", { digest: null })));
  else if (!one.published && canShadow) acts.push(button("compare", say("shadow on", { digest }), () => act(one.name, "shadow", { digest: one.digest })));
  const drop = async () => { if (await desk.sure(say("sure drop", { name: one.name, digest }))) act(one.name, "drop", { digest: one.digest }); };
  if (!one.published && !one.previous && !one.shadow) acts.push(button("drop", say("drop it", { digest }), drop));
  const states = [one.published && el("span", { class: "badge" }, say("published")), one.shadow && el("span", { class: "badge other" }, say("shadow"))];
  return el("tr", {}, el("th", { scope: "row" }, el("code", { title: one.digest }, digest)), el("td", {}, moment(one.added_at)),
    el("td", {}, states.filter(Boolean)), el("td", {}, report(one.facts).join(" · ") || "–"), el("td", { class: "act" }, acts));
}
