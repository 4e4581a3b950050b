// The operators' view: chooses the view that the address names, and carries out what is done in it.
import { $, announce, ask, communities, keyForm, languages, needsKey, notice, placed, say } from "./common.js";
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
    const id = document.activeElement?.id;
    try {
      await work();
      notice("offline", "");
      await open();
      announce(said ?? say("done"), 400);
      (id && $(id) ? $(id) : $("view").querySelector("h2"))?.focus();
      return true;
    } catch (error) {
      if (!needsKey(error)) notice("offline", error.status ? error.message : say("unreachable"), "bad");
      return false;
    }
  },
};

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
    if (!needsKey(error)) notice("offline", why(error), `${error.status === 403 ? "" : "bad"} lost`);
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
    operates = ["operator", "admin"].includes((await ask("GET", "me")).role);
    $("door").hidden = true;
    await communities($("community"));
    await open();
  } catch (error) {
    if (!needsKey(error)) notice("offline", error.message, "bad lost");
  }
}

addEventListener("hashchange", async () => {
  notice("offline", "");
  await open();
  $("view").querySelector("h2")?.focus();
});
addEventListener("online", open);
$("community").addEventListener("change", open);
languages(open);
keyForm(begin);
begin();
