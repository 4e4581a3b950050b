// The operators' view: chooses the view that the address names, and carries out what is done in it.
import { $, announce, ask, communities, el, kept, keyForm, languages, needsKey, notice, placed, say } from "./common.js";
import { models } from "./models.js";
import { space } from "./space.js";
import { quality, review, trends } from "./views.js";

const VIEWS = { space, trends, models, quality, review };
let asked = 0;

/** What a view needs: where it asks, how it changes something, and how it asks whether one is sure. */
const desk = {
  at: (path, rest = "") => `${path}/${placed($("community").value)}${rest}`,
  community: () => $("community").value,
  why: () => ({ why: $("reason").value.trim() }),
  ask,
  open,
  sure(text) {
    const box = $("sure");
    $("sure-says").textContent = text;
    box.returnValue = "no";
    return new Promise(done => {
      box.addEventListener("close", () => done(box.returnValue === "yes"), { once: true });
      box.showModal();
      box.querySelector("[value=no]").focus();
    });
  },
  /** Do something and draw the view anew; the focus goes back to where it was, as far as that is still there. */
  async change(work, said) {
    const id = document.activeElement?.id, done = document.activeElement?.closest("form");
    try {
      await work();
      notice("offline", "");
      const typed = written(done);
      await open();
      put(typed);
      announce(said ?? say("done"), 400);
      (id && $(id) ? $(id) : $("view").querySelector("h2"))?.focus();
      return true;
    } catch (error) {
      if (!needsKey(error)) notice("offline", error.status ? error.message : say("unreachable"), "bad");
      return false;
    }
  },
};

/** What was typed in fields of the view and not sent yet: a view that is drawn anew must not lose it. */
const written = sent => [...$("view").querySelectorAll("input[id]:not([type=checkbox])")].filter(one => one.value && !sent?.contains(one)).map(one => [one.id, one.value]);

function put(typed) {
  for (const [id, value] of typed) if ($(id) && !$(id).value) { $(id).value = value; $(id).dispatchEvent(new Event("input", { bubbles: true })); }
}

/** Another community or view: what stands there goes at once, so that nothing of it acts where it does not belong. */
function turn() {
  notice("offline", "");
  $("view").replaceChildren(el("p", { class: "fine" }, say("loading")));
  return open();
}

const named = () => (Object.hasOwn(VIEWS, location.hash.slice(1)) ? location.hash.slice(1) : "space");

async function open() {
  const mine = ++asked, name = named();
  for (const link of document.querySelectorAll(".views a"))
    link.getAttribute("href") === `#${name}` ? link.setAttribute("aria-current", "page") : link.removeAttribute("aria-current");
  $("view").setAttribute("aria-busy", "true");
  try {
    const parts = await VIEWS[name](desk);
    if (mine !== asked) return;
    $("view").replaceChildren(...parts);
    for (const head of $("view").querySelectorAll("h2")) head.tabIndex = -1;
    if ($("offline").classList.contains("lost")) notice("offline", "");
  } catch (error) {
    if (mine !== asked) return;
    $("view").replaceChildren();
    if (needsKey(error)) return;
    notice("offline", why(error), `${error.status === 403 ? "" : "bad"} lost`);
    if (error.status !== 403) $("view").replaceChildren(el("button", { type: "button", id: "again", on: { click: turn } }, say("try again")));
  } finally {
    if (mine === asked) $("view").setAttribute("aria-busy", "false");
  }
}

function why(error) {
  if (error.status === 403) return say(named() === "models" && operates ? "whole operator" : "not operator");
  return error.status ? error.message : say("unreachable");
}

let operates = false;

async function begin() {
  try {
    const me = await ask("GET", "me");
    operates = ["operator", "admin"].includes(me.role);
    $("new-form").hidden = !operates || me.community !== null;
    $("door").hidden = true;
    await communities($("community"));
    await open();
  } catch (error) {
    if (!needsKey(error)) notice("offline", error.message, "bad lost");
  }
}

addEventListener("hashchange", async () => {
  await turn();
  $("view").querySelector("h2")?.focus();
});
addEventListener("online", open);

/** A community that has no posts yet: its tag space stands empty until something is put into it. */
$("new-form").addEventListener("submit", async event => {
  event.preventDefault();
  const name = $("new-community").value.trim(), select = $("community");
  if (!name) return;
  const there = [...select.options].some(one => one.value === name);
  if (!there) select.append(el("option", { value: name }, `${name} (0)`));
  select.value = name;
  $("new-community").value = "";
  kept.set("community", name);
  if (named() !== "space") history.pushState(null, "", "#space");
  await turn();
  if (!there) notice("offline", say("new space", { name }));
  $("view").querySelector("h2")?.focus();
});
$("community").addEventListener("change", turn);
languages(async () => { const typed = written(); await open(); put(typed); });
keyForm(begin);
begin();
