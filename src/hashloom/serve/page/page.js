// The composer: asks for suggestions while one writes, and tells the service what was taken and refused.
import {
  $, announce, ask, communities, el, keyForm, language, languages, needsKey, notice, number, percent, placed, roving, same,
  say, tagName, unique,
} from "./common.js";
import { copied, line } from "./copying.js";
import { Dials } from "./dials.js";
import { Feedback } from "./feedback.js";
import { authors, forgetAll, keepAuthor, keepDraft, keptDraft } from "./keeping.js";
import { Pictures } from "./pictures.js";
import { around, forecast, told, whyPanel } from "./reasons.js";

const state = {
  draft: `draft-${unique()}`, chosen: [], refused: [], answer: null, foretold: null, open: null, me: null, platforms: [],
  composing: false, before: null, wanted: "",
};
const waiting = {};
const pictures = new Pictures(() => changed(150));
const dials = new Dials(() => changed(150));
const feedback = new Feedback(
  () => ({ community: $("community").value, post_id: state.draft, ...($("author").value.trim() ? { user: $("author").value.trim() } : {}) }),
  (error, again) => (again ? failed(error, () => { changed(0); again(); }) : notice("offline", error.message, "bad")),
);

// ---- the draft

const platform = () => state.platforms.find(one => one.name === $("platform").value);
const typedTags = text => [...text.matchAll(/(?<![\p{L}\p{N}_&/])[#＃]([\p{L}\p{M}\p{N}_]*[\p{L}\p{M}_][\p{L}\p{M}\p{N}_]*)/gu)].map(one => one[1]);
const within = () => {
  const seen = new Set(state.chosen.map(same));
  return typedTags($("text").value).filter(tag => !seen.has(same(tag)) && seen.add(same(tag)));
};
const everyTag = () => [...state.chosen, ...within()];
const isEmpty = () => !$("text").value.trim() && !pictures.all.length;

function draft(more = {}) {
  const made = { text: $("text").value, community: $("community").value, post_id: state.draft, chosen: everyTag().slice(0, 100),
    unwanted: state.refused.slice(-100), ...dials.values(), ...more };
  if ($("author").value.trim()) made.user = $("author").value.trim();
  if ($("platform").value) made.platform = $("platform").value;
  return made;
}

function send(path, made, signal) {
  if (path === "forecast") for (const name of ["popularity", "diversity", "novelty", "adaptive"]) delete made[name];
  return pictures.all.length ? ask("POST", `${path}/pictures`, { form: pictures.form(made), signal }) : ask("POST", path, { body: made, signal });
}

/** Ask anew in a moment; what was asked before and is not answered yet is given up. */
function changed(wait = pictures.all.length ? 500 : 220) {
  counted();
  keepDraft({ text: $("text").value, author: $("author").value, platform: state.wanted, id: state.draft, chosen: state.chosen, refused: state.refused });
  clearTimeout(waiting.suggest);
  clearTimeout(waiting.forecast);
  if (state.composing) return;
  waiting.suggest = setTimeout(suggest, wait);
  waiting.forecast = setTimeout(foretell, wait + 500);
}

function latest(name) {
  waiting[`${name} asked`]?.abort();
  return (waiting[`${name} asked`] = new AbortController());
}

async function suggest() {
  const asked = latest("suggest");
  if (isEmpty()) {
    state.answer = null;
    closeWhy();
    return show();
  }
  busy(true);
  try {
    state.answer = await send("suggest", draft(), asked.signal);
    reached();
    show();
    if (state.open) (state.answer.suggestions.some(one => one.tag === state.open) ? explain(state.open, false) : closeWhy());
    heard();
  } catch (error) {
    if (error.name !== "AbortError") failed(error, () => changed(0));
  } finally {
    if (waiting["suggest asked"] === asked) busy(false);
  }
}

async function foretell(more = {}) {
  const asked = latest("forecast");
  if (isEmpty()) {
    state.foretold = null;
    return showForecast();
  }
  try {
    state.foretold = await send("forecast", draft(more), asked.signal);
    showForecast();
    return true;
  } catch (error) {
    if (error.name !== "AbortError" && error.status) {
      state.foretold = { forecast: null, why: error.message };
      showForecast();
    }
  }
}

function busy(on) {
  $("busy").classList.toggle("on", on);
  $("suggestions").setAttribute("aria-busy", String(on));
  if (on && !state.answer) $("empty").textContent = say("asking");
}

// ---- when it fails

function failed(error, again) {
  if (needsKey(error)) return;
  if (error.status && error.status !== 429 && error.status < 500) return notice("offline", error.message, "bad");
  notice("offline", error.status ? error.message : say("offline"), "bad");
  waiting.times = (waiting.times ?? 0) + 1;
  clearTimeout(waiting.retry);
  waiting.retry = setTimeout(again, error.wait ? error.wait * 1000 : Math.min(30_000, 1000 * 2 ** Math.min(waiting.times, 5)));
}

function reached() {
  clearTimeout(waiting.retry);
  waiting.times = 0;
  notice("offline", "");
  feedback.send();
}

// ---- what is shown

function show() {
  const answer = state.answer, rows = answer?.suggestions ?? [], list = $("suggestions");
  const held = list.contains(document.activeElement) ? document.activeElement.closest("li")?.dataset.tag : null;
  const at = held === null ? -1 : [...list.children].findIndex(one => one.dataset.tag === held);
  list.replaceChildren(...rows.map(chip));
  move.first();
  if (held !== null && rows.length) move.focus(Math.max(0, rows.findIndex(one => one.tag === held) < 0 ? at : rows.findIndex(one => one.tag === held)));
  else if (held !== null) $("text").focus();
  const limit = platform()?.limit, full = limit && everyTag().length >= limit;
  $("empty").textContent = rows.length ? "" : !answer ? say("nothing yet") : full ? say("no room") : say("nothing found");
  const way = answer && answer.way !== "model" && !(full && answer.way === "none");
  notice("way", way ? [say(answer.way), answer.why && say("because", { why: answer.why })].filter(Boolean).join(" ") : "");
  $("notes").hidden = !answer?.notes?.length;
  $("notes").replaceChildren(...(answer?.notes ?? []).map(one => el("li", {}, one)));
  $("source").hidden = !answer?.model;
  $("source").textContent = answer?.model ? say("source", { digest: answer.model.slice(0, 12), ms: number(answer.took_ms) }) : "";
  showRefused();
}

function chip(one) {
  const sure = one.probability === null ? "" : one.probability < 0.01 ? `<${percent(0.01)}` : percent(one.probability);
  const label = [say("take it", { tag: one.tag }), sure && say("sure", { p: sure })].filter(Boolean).join(", ");
  const take = el("button", { type: "button", class: "take", tabindex: -1, "aria-label": label, on: { click: () => accept(one) } },
    el("span", { class: "plus" }, "+"), el("span", { class: "tag" }, tagName(one.tag)), el("span", { class: "sure" }, sure));
  if (sure) {
    const bar = el("span", { class: "bar" });
    bar.style.width = `${100 * one.probability}%`;
    take.append(bar);
  }
  const key = event => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Delete" || event.key === "Backspace") { event.preventDefault(); refuse(one); }
    if (event.key === "?") { event.preventDefault(); explain(one.tag, true); }
    if (event.key === "Escape") $("text").focus();
  };
  return el("li", { "data-tag": one.tag, on: { keydown: key } }, take,
    el("button", { type: "button", class: "other ask", "aria-label": say("why it", { tag: one.tag }), "aria-expanded": String(state.open === one.tag), "aria-controls": "why", on: { click: () => explain(one.tag, true) } }, say("why")),
    el("button", { type: "button", class: "other", "aria-label": say("refuse", { tag: one.tag }), on: { click: () => refuse(one) } }, "×"));
}

function heard() {
  clearTimeout(waiting.heard);
  const tags = state.answer.suggestions.map(one => one.tag);
  waiting.heard = setTimeout(() => announce(tags.length ? say("heard some", { n: tags.length, tags: tags.join(", ") }) : $("empty").textContent), 1200);
}

function showChosen() {
  const rows = state.chosen.map(tag => el("li", { "data-tag": tag }, el("button", {
    type: "button", tabindex: -1, "aria-label": say("take away", { tag }),
    on: { click: () => away(tag), keydown: event => { if (event.key === "Delete" || event.key === "Backspace") { event.preventDefault(); away(tag); } } },
  }, tagName(`#${tag}`), el("span", { "aria-hidden": "true" }, "×"))));
  $("chosen").replaceChildren(...rows);
  chosenMove.first();
  counted();
}

function counted() {
  const n = everyTag().length, limit = platform()?.limit, place = $("counter"), written = within();
  $("chosen").querySelector(".none")?.remove();
  if (written.length) $("chosen").append(el("li", { class: "none" }, say("in the text"), ...written.flatMap(tag => [" ", tagName(`#${tag}`)])));
  else if (!n) $("chosen").append(el("li", { class: "none" }, say("no tags")));
  place.className = `counter ${limit && n > limit ? "over" : limit && n === limit ? "full" : ""}`;
  place.textContent = limit ? say(n > limit ? "over" : n === limit ? "full" : "count of", { n, limit }) : say("count", { n });
  $("copy-tags").disabled = !n;
  $("copy").disabled = !n && !$("text").value;
}

function showRefused() {
  $("refused").hidden = !state.refused.length;
  $("refused").replaceChildren(say("is refused"), ...state.refused.map(tag => el("button", {
    type: "button", "aria-label": say("refuse no more", { tag }), on: { click: () => allow(tag) },
  }, tagName(tag), " ↺")));
}

function showPlatform() {
  const one = platform(), place = $("platform-says");
  place.hidden = !one;
  if (one) {
    const parts = [one.limit ? say("platform limit", { n: one.limit }) : say("no limit"), one.graphemes && say("graphemes", { n: one.graphemes }), say("checked", { day: one.checked, source: one.source })];
    place.textContent = parts.filter(Boolean).join(language() === "ja" ? "、" : ", ");
  }
}

function showForecast() {
  const said = state.foretold, place = $("forecast");
  if (!said) return place.replaceChildren(el("p", { class: "fine" }, say("forecast yet")));
  if (!said.forecast) return place.replaceChildren(el("p", { class: "fine" }, say("forecast none"), " ", said.why ? say("because", { why: said.why }) : ""));
  place.replaceChildren(...forecast(said.forecast, async () => {
    if (await foretell({ explain: true, language: language() })) $("forecast").querySelector(".because")?.setAttribute("tabindex", "-1");
    $("forecast").querySelector(".because")?.focus();
  }));
}

// ---- taking and refusing

function accept(one) {
  feedback.say("accepted", one.tag, state.answer, one);
  state.chosen.push(one.tag);
  state.refused = state.refused.filter(tag => same(tag) !== same(one.tag));
  dropped(one);
  announce(say("heard taken", { tag: one.tag, count: $("counter").textContent }));
}

function refuse(one) {
  feedback.say("rejected", one.tag, state.answer, one);
  state.refused.push(one.tag);
  dropped(one);
  announce(say("heard refused", { tag: one.tag }));
}

/** A chip that was decided about goes at once; the next one takes its place and the focus. */
function dropped(one) {
  if (state.open === one.tag) closeWhy();
  const at = state.answer.suggestions.indexOf(one), had = $("suggestions").contains(document.activeElement);
  state.answer = { ...state.answer, suggestions: state.answer.suggestions.filter(other => other !== one) };
  if (had) $("main").focus({ preventScroll: true });
  show();
  showChosen();
  if (had) state.answer.suggestions.length ? move.focus(at) : $("text").focus();
  changed(60);
}

function away(tag) {
  const at = state.chosen.indexOf(tag);
  feedback.say("rejected", tag, state.answer);
  state.chosen = state.chosen.filter(other => other !== tag);
  state.refused.push(tag);
  showChosen();
  showRefused();
  state.chosen.length ? chosenMove.focus(at) : $("typed").focus();
  announce(say("heard away", { tag }));
  changed(60);
}

function allow(tag) {
  state.refused = state.refused.filter(other => other !== tag);
  // The refusal is taken back: from now on this draft has a name under which nothing else was refused.
  state.draft = `draft-${unique()}`;
  feedback.told.clear();
  for (const other of state.refused) feedback.say("rejected", other, state.answer);
  showRefused();
  changed(60);
  $("text").focus();
}

function byHand(tag) {
  const clean = tag.normalize("NFKC").replace(/^#+/, "").trim();
  if (!clean || state.chosen.some(other => same(other) === same(clean))) return;
  state.chosen.push(clean);
  state.refused = state.refused.filter(other => same(other) !== same(clean));
  feedback.say("typed", clean, state.answer);
  showChosen();
  announce(say("heard taken", { tag: clean, count: $("counter").textContent }));
  changed(60);
}

// ---- reasons

async function explain(tag, go) {
  if (go && state.open === tag && !$("why").hidden) return closeWhy(true);
  state.open = tag;
  const asked = latest("why"), text = $("text").value, picture = pictures.all[0]?.url;
  if (go) { expanded(); whyPanel(tag, [el("p", { class: "fine" }, say("asking"))], () => closeWhy(true)); }
  try {
    const said = await send("suggest", draft({ explain: true, language: language() }), asked.signal);
    const one = said.suggestions.find(row => same(row.tag) === same(tag));
    whyPanel(tag, one ? told(one, text, picture) : [el("p", {}, say("gone now"))], () => closeWhy(true));
    if (go) $("why").focus({ preventScroll: false });
  } catch (error) {
    if (error.name === "AbortError") return;
    whyPanel(tag, [el("p", {}, error.message)], () => closeWhy(true));
  }
}

const expanded = () => {
  for (const row of $("suggestions").children) row.querySelector(".ask").setAttribute("aria-expanded", String(row.dataset.tag === state.open));
};

function closeWhy(back = false) {
  const tag = state.open;
  waiting["why asked"]?.abort();
  state.open = null;
  $("why").hidden = true;
  expanded();
  if (back) ([...$("suggestions").children].find(row => row.dataset.tag === tag)?.querySelector(".take") ?? $("text")).focus();
}

// ---- beginning

const move = roving($("suggestions"), ".take");
const chosenMove = roving($("chosen"), "button");

function listen() {
  const text = $("text");
  text.addEventListener("compositionstart", () => { state.composing = true; changed(); });
  text.addEventListener("compositionend", () => { state.composing = false; changed(); });
  text.addEventListener("input", () => { state.before = null; anew(); changed(); });
  text.addEventListener("keydown", event => {
    if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey) || event.isComposing) return;
    event.preventDefault();
    move.focus(0);
  });
  for (const name of ["author", "community", "platform"]) $(name).addEventListener("change", () => {
    if (name === "community") { state.draft = `draft-${unique()}`; state.refused = []; feedback.told.clear(); }
    if (name === "platform") state.wanted = $("platform").value;
    showPlatform();
    remembered();
    changed(0);
  });
  $("typed-form").addEventListener("submit", event => {
    event.preventDefault();
    byHand($("typed").value);
    $("typed").value = "";
    $("typed").focus();
  });
  $("typed").addEventListener("input", complete);
  const tagLine = tags => line(tags, platform()?.sign !== false);
  $("copy-tags").addEventListener("click", () => copied($("copy-tags"), "copy tags", tagLine(everyTag())));
  $("copy").addEventListener("click", () => copied($("copy"), "copy", [text.value.trim(), tagLine(state.chosen)].filter(Boolean).join("\n\n")));
  $("why").addEventListener("keydown", event => { if (event.key === "Escape") closeWhy(true); });
  $("anew").addEventListener("click", startAnew);
  $("forget").addEventListener("click", () => { forgetAll(); $("authors").replaceChildren(); announce(say("forgotten")); });
  $("typed").addEventListener("keydown", event => { if (event.key === "Escape") text.focus(); });
  $("chosen").addEventListener("keydown", event => { if (event.key === "Escape") text.focus(); });
  addEventListener("online", () => changed(0));
  addEventListener("offline", () => notice("offline", say("offline"), "bad"));
}

async function complete() {
  const start = $("typed").value.trim(), asked = latest("complete");
  if (!start) return $("completed").replaceChildren();
  const user = $("author").value.trim();
  try {
    const query = new URLSearchParams({ q: start, k: 8, ...(user ? { user } : {}) });
    const found = await ask("GET", `autocomplete/${placed($("community").value)}?${query}`, { signal: asked.signal });
    $("completed").replaceChildren(...found.tags.map(one => el("option", { value: one.tag })));
  } catch (error) {
    if (error.name !== "AbortError") $("completed").replaceChildren();
  }
}

/** Authors that were named in this browser are offered again; nobody else's names are. */
function remembered() {
  if ($("author").value.trim()) keepAuthor($("author").value.trim());
  $("authors").replaceChildren(...authors().map(name => el("option", { value: name })));
}

/** An empty draft; the one before it comes back with the same button, until something is written. */
function startAnew() {
  const now = { text: $("text").value, id: state.draft, chosen: state.chosen, refused: state.refused, pictures: pictures.all };
  put(state.before ?? { text: "", id: `draft-${unique()}`, chosen: [], refused: [], pictures: [] });
  state.before = state.before ? null : now;
  announce(say(state.before ? "heard anew" : "heard back"));
  anew();
  changed(0);
  $("text").focus();
}

function put(kept) {
  $("text").value = kept.text;
  Object.assign(state, { draft: kept.id, chosen: kept.chosen, refused: kept.refused });
  feedback.told.clear();
  if (kept.pictures) pictures.all = kept.pictures;
  pictures.show();
  closeWhy();
  showChosen();
  showRefused();
}

function anew() {
  $("anew").textContent = say(state.before ? "bring back" : "anew");
  $("anew").disabled = !state.before && isEmpty() && !state.chosen.length;
}

function again() {
  $("platform").options[0].textContent = say("any platform");
  for (const part of [showPlatform, showChosen, show, showForecast]) part();
  pictures.show();
  dials.draw();
  anew();
  if (state.open) explain(state.open, false);
}

async function begin() {
  try {
    state.me = await ask("GET", "me");
    $("door").hidden = true;
    feedback.silent = state.me.role === "reader";
    const [{ platforms }] = await Promise.all([ask("GET", "platforms"), communities($("community"))]);
    state.platforms = platforms;
    $("platform").replaceChildren(el("option", { value: "" }, say("any platform")), ...platforms.map(one => el("option", { value: one.name }, one.name)));
    if (platforms.some(one => one.name === state.wanted)) $("platform").value = state.wanted;
    Object.assign(pictures, { most: state.me.limits.max_pictures, largest: state.me.limits.max_picture });
    $("text").maxLength = state.me.limits.max_text;
    reached();
    notice("offline", state.me.role === "reader" ? say("no feedback") : "");
    showPlatform();
    showChosen();
    changed(0);
  } catch (error) {
    failed(error, begin);
  }
}

$("platform").append(el("option", { value: "" }));
/** What this tab had before a reload. */
function comeBack() {
  const kept = keptDraft();
  if (!kept?.id) return;
  state.wanted = kept.platform ?? "";
  $("author").value = kept.author ?? "";
  put({ text: String(kept.text ?? ""), id: kept.id, chosen: kept.chosen ?? [], refused: kept.refused ?? [] });
}

languages(again);
keyForm(begin);
listen();
remembered();
comeBack();
again();
begin();
