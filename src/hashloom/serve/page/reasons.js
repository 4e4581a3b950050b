// Why a tag is suggested: sentences, marked words, a map over the picture, posts like this one; and the forecast.
import { $, el, language, number, percent, say, svg, tagName } from "./common.js";

const RISING = ["00224e", "123570", "3b496c", "575d6d", "707173", "8a8678", "a59c74", "c3b369", "e1cc55", "fee838"];
const TWO_HUES = ["b35806", "e08214", "fdb863", "f7f7f7", "9ecae1", "4292c6", "08519c"];
const EARLIER = ["history", "habit", "neighbour"];

const list = reasons => {
  const lines = [...new Set(reasons.map(one => one.sentence).filter(Boolean))];
  return lines.length ? el("ul", { class: "because" }, lines.map(line => el("li", { dir: "auto" }, line))) : null;
};

/** The reasons of one suggestion; `picture` is the first picture's address, `text` as it was sent. */
export function told(one, text, picture) {
  const parts = [], similar = one.reasons.filter(reason => EARLIER.includes(reason.source));
  const inner = one.reasons.filter(reason => reason.source === "model");
  const others = one.reasons.filter(reason => !EARLIER.includes(reason.source) && reason.source !== "model");
  if (list(others)) parts.push(el("h4", {}, say("reasons")), list(others));
  const words = one.marks?.words?.length ? spans(one.marks.words, text) : fromReasons(one.reasons, text);
  if (words.length) parts.push(el("h4", {}, say("marked words")), ...marked(words, text, one.marks?.kind === "attention"));
  if (one.marks?.regions?.length && picture) parts.push(el("h4", {}, say("heat map")), map(one.marks, picture));
  if (list(similar)) parts.push(el("h4", {}, say("similar posts")), list(similar));
  if (list(inner)) parts.push(el("details", { class: "fold", open: !parts.length }, el("summary", {}, say("inner reasons")), list(inner)));
  return parts.length ? parts : [el("p", {}, say("no reasons"))];
}

/** Where the words stand, one after the other: start, end, weight. */
function spans(words, text) {
  const found = [];
  let from = 0;
  for (const [word, weight] of words) {
    const at = text.indexOf(word, from);
    if (at < 0 || !word) continue;
    from = at + word.length;
    if (weight) found.push([at, from, weight]);
  }
  return found;
}

/** Spans that reasons name; they count characters, not UTF-16 units, and hold for a text without hashtags alone. */
function fromReasons(reasons, text) {
  if (/[#＃]/.test(text)) return [];
  const signs = [...text], found = [];
  for (const { source, where, weight } of reasons) {
    const span = source === "text" && /^(\d+):(\d+)/.exec(where);
    if (!span || !weight) continue;
    const [start, end] = [signs.slice(0, span[1]).join("").length, signs.slice(0, span[2]).join("").length];
    if (start < end) found.push([start, end, weight]);
  }
  found.sort((a, b) => a[0] - b[0] || b[1] - a[1]);
  return found.filter((one, at) => !found.slice(0, at).some(other => other[1] > one[0]));
}

function marked(words, text, isLooked) {
  const most = Math.max(...words.map(word => Math.abs(word[2])));
  const parts = [];
  let from = 0;
  for (const [start, end, weight] of words) {
    const step = Math.max(1, Math.round(9 * Math.abs(weight) / most));
    parts.push(text.slice(from, start), el("mark", { class: `${weight < 0 ? "against" : "for"} w${step}` }, text.slice(start, end)));
    from = end;
  }
  parts.push(text.slice(from));
  const legend = [el("mark", { class: "for w6" }, say(isLooked ? "looked" : "marked for"))];
  if (words.some(word => word[2] < 0)) legend.push("  ", el("mark", { class: "against w6" }, say("marked against")));
  return [el("p", { class: "said", dir: "auto" }, parts), el("p", { class: "fine" }, legend)];
}

// ---- the map over the picture

function colour(value, table) {
  const at = Math.min(Math.max(value, 0), 1) * (table.length - 1), low = Math.floor(at), rest = at - low;
  const stop = (code, c) => parseInt(code.slice(2 * c, 2 * c + 2), 16);
  return [0, 1, 2].map(c => Math.round(stop(table[low], c) * (1 - rest) + stop(table[Math.min(low + 1, table.length - 1)], c) * rest));
}

function scaled(regions, signed) {
  const flat = regions.flat(), low = Math.min(...flat), high = Math.max(...flat), most = Math.max(-low, high);
  if (signed) return value => (most > 0 ? 0.5 + value / (2 * most) : 0.5);
  return value => (high > low ? (value - low) / (high - low) : 0.5);
}

function places(regions, signed) {
  const flat = regions.flatMap((row, r) => row.map((value, c) => [value, r, c]));
  if (Math.max(...flat.map(one => one[0])) === Math.min(...flat.map(one => one[0]))) return "";
  const third = (at, n) => Math.min(Math.floor((3 * (at + 0.5)) / n), 2);
  const rows = ["upper", "middle", "lower"], columns = ["left", "centre", "right"], ja = language() === "ja";
  const name = (r, c) => {
    const [row, column] = [third(r, regions.length), third(c, regions[0].length)];
    if (row === 1 && column === 1) return say("centre");
    const both = [say(rows[row]), say(columns[column])];
    return ja ? (row === 1 ? both[1] : both.reverse().join("")) : both.join(" ");
  };
  const tell = value => (signed ? number(value, 3) : percent(value));
  return flat.sort((a, b) => Math.abs(b[0]) - Math.abs(a[0])).slice(0, 3)
    .map(([value, r, c]) => `${name(r, c)} (${tell(value)})`).join(ja ? "、" : ", ");
}

function map(marks, picture) {
  const signed = marks.kind !== "attention", regions = marks.regions;
  const where = places(regions, signed);
  const said = where ? say("map says", { places: where }) : say("map even");
  const canvas = el("canvas", { role: "img", "aria-label": said });
  const image = new Image();
  const box = marks.box ?? [0, 0, 1, 1], isPart = box.some((edge, at) => Math.abs(edge - (at > 1)) > 0.01);
  image.onload = () => draw(canvas, image, regions, signed, box);
  image.src = picture;
  return el("figure", { class: "map" }, canvas, el("figcaption", {}, `${said} ${say(signed ? "map signed" : "map attention")}${isPart ? ` ${say("map part")}` : ""}`));
}

/** The map covers what the model sees: `box` in shares of the sides; the rest of the picture keeps its own colours. */
function draw(canvas, image, regions, signed, [left, top, right, bottom]) {
  const part = Math.min(1, 448 / Math.max(image.naturalWidth, image.naturalHeight)), to = scaled(regions, signed);
  canvas.width = Math.max(1, Math.round(image.naturalWidth * part));
  canvas.height = Math.max(1, Math.round(image.naturalHeight * part));
  const cells = el("canvas", { width: regions[0].length, height: regions.length }), over = cells.getContext("2d");
  const pixels = over.createImageData(cells.width, cells.height);
  regions.flat().forEach((value, at) => pixels.data.set([...colour(to(value), signed ? TWO_HUES : RISING), 255], 4 * at));
  over.putImageData(pixels, 0, 0);
  const pen = canvas.getContext("2d");
  pen.drawImage(image, 0, 0, canvas.width, canvas.height);
  pen.globalAlpha = 0.5;
  pen.imageSmoothingEnabled = true;
  const [x, y, wide, high] = [left * canvas.width, top * canvas.height, (right - left) * canvas.width, (bottom - top) * canvas.height];
  pen.drawImage(cells, x, y, wide, high);
  pen.globalAlpha = 1;
  pen.setLineDash([4, 3]);
  pen.strokeStyle = "#fff";
  if (wide < canvas.width - 1 || high < canvas.height - 1) pen.strokeRect(x + 0.5, y + 0.5, wide - 1, high - 1);
}

// ---- the forecast

const round = value => number(value, Math.abs(value) < 10 ? 1 : 0);

/** A forecast with its interval; as the number itself where that is known, else on the forecaster's scale. */
export function forecast(one, explain) {
  const [value, low, high] = one.numbers ?? [one.value, one.low, one.high];
  const unit = one.numbers ? (["views", "likes", "comments"].includes(one.number) ? say(one.number) : one.number) : one.formula;
  const said = { value: round(value), low: round(low), high: round(high), share: percent(one.coverage) };
  const why = el("div", { id: "forecast-reasons" }, one.reasons.length ? list(one.reasons) : null);
  const button = one.reasons.length ? null
    : el("button", { type: "button", class: "small", id: "forecast-why", on: { click: explain } }, say("forecast why"));
  return [
    el("p", { class: "expected" }, `≈ ${said.value} `, el("bdi", {}, unit)),
    drawn(value, low, high, one.numbers !== null, say("interval says", said)),
    el("p", { class: "fine" }, say("forecast reach", said)), button, why,
  ].filter(Boolean);
}

/** The interval from 0, or a little beyond its ends, to a round end; counts far apart stand on a scale of roots. */
function drawn(value, low, high, isCount, said) {
  const scale = isCount ? Math.sqrt : x => x, from = isCount ? 0 : low - 0.15 * (high - low || 1);
  const to = isCount ? Math.max(high * 1.25, 1) : high + 0.15 * (high - low || 1);
  const x = at => 10 + (400 * (scale(Math.max(at, from)) - scale(from))) / (scale(to) - scale(from) || 1);
  return svg("svg", { class: "interval", viewBox: "0 0 420 24", role: "img", "aria-label": said },
    svg("line", { class: "ground", x1: 10, x2: 410, y1: 12, y2: 12 }),
    svg("line", { class: "reach", x1: x(low), x2: x(high), y1: 12, y2: 12 }),
    svg("circle", { class: "at", cx: x(value), cy: 12, r: 7 }));
}

export function whyPanel(tag, parts, close) {
  $("why").replaceChildren(
    el("div", { class: "row" }, el("h2", { id: "why-head" }, ...around("why head", tag)),
      el("button", { type: "button", class: "small", on: { click: close } }, say("close"))),
    ...parts);
  $("why").hidden = false;
}

/** A sentence with a tag in it, which keeps its own direction. */
export function around(name, tag) {
  const [before, after] = say(name, { tag: "\u0000" }).split("\u0000");
  return [before, tagName(tag), after];
}
