// The log of a tag space: who changed what, the latest first, and on demand what came before that.
import { announce, el, moment, number, say } from "./common.js";

const STEP = 50;
const FIELDS = { tags: "tags", closed: "state", aliases: "aliases", denied: "denied", sensitive: "sensitive", describe: "description" };
const FEW = 20;

/** What a change did to one field: what came with +, what went with −, and what became what. */
function told(name, what) {
  const parts = Array.isArray(what) ? lists(what) : Object.entries(what).map(([key, [before, now]]) => step(name, key, before, now));
  const rest = parts.length > FEW ? ` … (${number(parts.length)})` : "";
  return `${FIELDS[name] ? say(FIELDS[name]) : name}: ${parts.slice(0, FEW).join(", ")}${rest}`;
}

function lists([before, now]) {
  if (!Array.isArray(now)) return [`${said(before)} → ${said(now)}`];
  return [...now.filter(one => !before.includes(one)).map(one => `+${one}`), ...before.filter(one => !now.includes(one)).map(one => `−${one}`)];
}

const said = value => (value === true ? say("is closed") : value === false ? say("is open") : String(value));

function step(name, key, before, now) {
  if (name === "tags") return now === null ? `−${before}` : before === null ? `+${now}` : `${before} → ${now}`;
  return now === null ? `−${key}` : `${key} → ${now}`;
}

function entry(one) {
  const what = Object.entries(one.changed).map(([name, change]) => el("li", { dir: "auto" }, told(name, change)));
  return el("li", { tabindex: -1 }, el("time", { datetime: one.at }, moment(one.at)), ` · ${say("by", { who: one.by })}`, one.why ? ` · ${one.why}` : "", el("ul", { class: "plain fine" }, what));
}

export function changes(desk, log) {
  const list = el("ol", { class: "plain", reversed: true }), lost = el("p", { class: "notice bad", role: "alert", hidden: true });
  const earlier = el("button", { type: "button", class: "small", id: "earlier", on: { click: more } }, say("earlier"));
  let first = 0, busy = false;
  /** The service gives the oldest first, and numbers them from 1. */
  const put = rows => {
    const made = [...rows].reverse().map(entry);
    list.append(...made);
    first = rows[0]?.version ?? 1;
    earlier.hidden = first <= 1;
    return made[0];
  };
  async function more() {
    if (busy) return;
    busy = true;
    try {
      const { changes: rows } = await desk.ask("GET", desk.at("spaces", `/log?last=${STEP}&before=${first}`));
      if (!list.isConnected) return;
      lost.hidden = true;
      const top = put(rows);
      announce(say("earlier shown", { n: number(rows.length) }));
      (top ?? list).focus();
    } catch (error) {
      lost.textContent = error.message;
      lost.hidden = false;
    } finally {
      busy = false;
    }
  }
  put(log.slice(-STEP));
  return el("section", { "aria-labelledby": "log-head" }, el("h2", { id: "log-head" }, say("log")),
    log.length ? [list, lost, earlier] : el("p", { class: "fine" }, say("no log")));
}
