// What the pages share: asking the service, making elements from text, languages, the key, what is said aloud.
import { WORDS } from "./words.js";

export const $ = id => document.getElementById(id);

/** An element; children are elements or text. Data reaches the page as text alone. */
export function el(name, about = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(about)) {
    if (value === undefined || value === null || value === false) continue;
    if (key === "on") for (const [event, act] of Object.entries(value)) made.addEventListener(event, act);
    else made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.flat().filter(child => child !== null && child !== undefined && child !== ""));
  return made;
}

export function svg(name, about = {}, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(about)) made.setAttribute(key, value);
  made.append(...children.flat());
  return made;
}

export const tagName = tag => el("bdi", {}, tag);
export const same = tag => tag.normalize("NFKC").toLowerCase().normalize("NFKC").replace(/^#/, "");

// ---- languages

export const kept = {
  get(name) { try { return localStorage.getItem(`hashloom ${name}`); } catch { return null; } },
  set(name, value) { try { localStorage.setItem(`hashloom ${name}`, value); } catch { /* this tab only */ } },
};
const wanted = new URLSearchParams(location.search).get("lang") ?? kept.get("language") ?? navigator.language ?? "en";
let spoken = wanted.toLowerCase().startsWith("ja") ? "ja" : "en";

export const language = () => spoken;

export function say(name, values = {}) {
  const found = WORDS[name];
  if (!found) throw new Error(`no words for ${name}`);
  const form = found[spoken === "ja" ? 1 : 0];
  const text = typeof form === "function" ? form(values) : form;
  return text.replace(/\{(\w+)\}/g, (_, key) => String(values[key] ?? ""));
}

export const number = (value, digits = 0) =>
  new Intl.NumberFormat(spoken, { maximumFractionDigits: digits }).format(value);
export const percent = value => new Intl.NumberFormat(spoken, { style: "percent" }).format(value);
export const moment = value =>
  new Intl.DateTimeFormat(spoken, { dateStyle: "medium", timeStyle: "short" }).format(new Date(value));

function translate() {
  document.documentElement.lang = spoken;
  for (const node of document.querySelectorAll("[data-say]")) node.textContent = say(node.dataset.say);
  for (const kind of ["aria-label", "placeholder", "title"])
    for (const node of document.querySelectorAll(`[data-say-${kind}]`))
      node.setAttribute(kind, say(node.getAttribute(`data-say-${kind}`)));
  document.title = say(document.documentElement.dataset.title);
}

/** Translate what stands in the page, now and whenever the language changes; `again` draws what was made here. */
export function languages(again) {
  const buttons = [...document.querySelectorAll("[data-language]")];
  const show = () => {
    for (const button of buttons) button.setAttribute("aria-pressed", String(button.dataset.language === spoken));
    translate();
  };
  for (const button of buttons)
    button.addEventListener("click", () => {
      spoken = button.dataset.language;
      kept.set("language", spoken);
      show();
      again();
    });
  show();
}

// ---- saying aloud

let announcing = 0;
export function announce(text, wait = 150) {
  clearTimeout(announcing);
  announcing = setTimeout(() => { $("aloud").textContent = text; }, wait);
}

// ---- asking

export class Failed extends Error {
  constructor(status, detail, wait = 0) {
    super(detail);
    this.status = status;
    this.wait = wait;
  }
}

let secret = "";
try { secret = sessionStorage.getItem("hashloom key") ?? ""; } catch { /* this page only */ }

export async function ask(method, path, { body, form, signal } = {}) {
  const headers = {};
  if (secret) headers.Authorization = `Bearer ${secret}`;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let answer;
  try {
    const sent = form ?? (body === undefined ? undefined : JSON.stringify(body));
    answer = await fetch(`v1/${path}`, { method, headers, body: sent, signal, credentials: "omit", cache: "no-store" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Failed(0, say("unreachable"));
  }
  const said = await answer.json().catch(error => {
    if (error.name === "AbortError") throw error;
    return {};
  });
  if (answer.ok) return said;
  const fields = (said.errors ?? []).map(one => `${one.field ?? ""}: ${one.message ?? ""}`).join("; ");
  const detail = `${said.detail ?? answer.statusText}${fields ? ` (${fields})` : ""}`;
  throw new Failed(answer.status, detail, Number(answer.headers.get("Retry-After")) || 0);
}

export const placed = community => encodeURIComponent(/^[~.]*$/.test(community || "") ? `~${community || ""}` : community);

/** A form for the key, shown where the service wants one; `again` starts the page anew. */
export function keyForm(again) {
  $("key-form").addEventListener("submit", event => {
    event.preventDefault();
    secret = $("key").value.trim();
    $("key").value = "";
    try { sessionStorage.setItem("hashloom key", secret); } catch { /* this page only */ }
    again();
  });
}

export function needsKey(error) {
  const asked = error.status === 401;
  $("door").hidden = !asked;
  if (asked) {
    $("door-why").textContent = secret ? say("wrong key") : say("key wanted");
    $("key").focus();
  }
  return asked;
}

/** A notice in its place: a sentence, in one of the kinds that the style sheet knows; no text takes it away. */
export function notice(id, text, kind = "") {
  const place = $(id);
  place.hidden = !text;
  place.className = `notice ${kind}`;
  if (place.textContent !== text) place.textContent = text;
}

export async function communities(select, chosen) {
  const found = (await ask("GET", "communities")).communities;
  const names = Object.keys(found).sort((a, b) => found[b] - found[a] || (a < b ? -1 : 1));
  if (!names.length) names.push("");
  select.replaceChildren(...names.map(name =>
    el("option", { value: name }, name ? `${name} (${number(found[name])})` : say("nameless"))));
  const before = chosen ?? kept.get("community");
  if (names.includes(before)) select.value = before;
  select.addEventListener("change", () => kept.set("community", select.value));
}

export const unique = () => {
  const bytes = crypto.getRandomValues(new Uint8Array(12));
  return [...bytes].map(byte => byte.toString(16).padStart(2, "0")).join("");
};

/** Arrow keys, Home and End move among the buttons of a group, of which Tab reaches one. */
export function roving(group, selector) {
  const all = () => [...group.querySelectorAll(selector)];
  const set = one => all().forEach(node => { node.tabIndex = node === one ? 0 : -1; });
  group.addEventListener("focusin", event => {
    const one = event.target.closest(selector);
    if (one) set(one);
  });
  group.addEventListener("keydown", event => {
    const nodes = all(), at = nodes.indexOf(event.target.closest(selector));
    if (at < 0 || event.altKey || event.ctrlKey || event.metaKey) return;
    const turned = getComputedStyle(group).direction === "rtl" ? -1 : 1;
    const step = { ArrowRight: turned, ArrowLeft: -turned, ArrowDown: 1, ArrowUp: -1 }[event.key];
    const to = event.key === "Home" ? 0 : event.key === "End" ? nodes.length - 1 : step ? at + step : null;
    if (to === null) return;
    event.preventDefault();
    nodes[(to + nodes.length) % nodes.length]?.focus();
  });
  return { first: () => set(all()[0]), focus: at => { const nodes = all(); nodes[Math.min(at, nodes.length - 1)]?.focus(); } };
}
