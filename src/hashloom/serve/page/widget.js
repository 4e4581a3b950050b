// Hashloom's suggestions under any <textarea>: one script, nothing else.
//
//   <script src="https://tags.example/widget.js" data-community="bakers" defer></script>
//
// Of the script:      data-address    where the service is (left out: where the script came from)
//                     data-key        a key with the role reader (what visitors take and refuse is not learnt) or writer
//                                     (learnt; but whoever reads the key may also put, change and delete posts of that
//                                     community); every visitor can read it, so leave it out where the page's own server
//                                     hands requests on and adds the key
//                     data-community, data-platform, data-k, data-language
//                     data-user       whose habits count: heeded with a writer's key or where the page's own server adds
//                                     one; a reader's key may name nobody, since whoever reads it could name anybody
//                     data-selector   which fields (left out: textarea)
// Of a textarea:      data-hashloom="off" leaves it alone; data-hashloom-community, -user, -platform, -post-id
(() => {
  "use strict";
  const script = document.currentScript, set = script.dataset;
  const address = new URL(set.address || ".", set.address ? document.baseURI : script.src).href.replace(/\/?$/, "/");
  const spoken = (set.language || document.documentElement.lang || navigator.language).toLowerCase().startsWith("ja") ? 1 : 0;
  const SAID = {
    tags: ["Suggested tags", "タグの候補"],
    take: ["take {tag}", "{tag}を採用"],
    refuse: ["Refuse {tag}", "{tag}を却下"],
    taken: ["{tag} added", "{tag}を追加しました"],
    refused: ["{tag} refused", "{tag}を却下しました"],
    heard: ["Suggested: {tags}", "候補:{tags}"],
    keys: ["Enter takes, Delete refuses, arrow keys move", "Enterで採用、Deleteで却下、矢印キーで移動"],
    lost: ["No suggestions now: {why}", "今は候補を出せません:{why}"],
    away: ["the service cannot be reached", "サービスにつながりません"],
  };
  let hinted = false;
  const say = (name, values = {}) => SAID[name][spoken].replace(/\{(\w+)\}/g, (_, key) => values[key]);
  const STYLE = `
    :host { display: block; margin: 6px 0; font: 15px/1.5 system-ui, -apple-system, "Segoe UI", "Noto Sans", "Hiragino Sans", "Noto Sans CJK JP", sans-serif; color-scheme: light dark; }
    ul { list-style: none; display: flex; flex-wrap: wrap; gap: 6px; margin: 0; padding: 0; }
    li { display: inline-flex; max-width: 100%; border: 1px solid #767d92; border-radius: 16px; overflow: hidden; background: Canvas; color: CanvasText; }
    li:focus-within { outline: 3px solid #5a70e0; outline-offset: 1px; }
    button { font: inherit; color: inherit; background: none; border: 0; min-height: 32px; padding: 2px 10px; cursor: pointer; overflow-wrap: anywhere; text-align: start; }
    button:focus-visible { outline: none; }
    button:hover { background: color-mix(in srgb, currentColor 12%, transparent); }
    .refuse { padding: 2px 10px 2px 6px; }
    .lost { margin: 0; font-size: 13.5px; color: CanvasText; }
    .sr { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
    [hidden] { display: none !important; }`;

  const token = () => [...crypto.getRandomValues(new Uint8Array(12))].map(byte => byte.toString(16).padStart(2, "0")).join("");
  const same = tag => tag.normalize("NFKC").toLowerCase().normalize("NFKC");

  function el(name, about = {}, ...children) {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(about)) made.setAttribute(key, value);
    made.append(...children);
    return made;
  }

  /** CamelCase is kept; several words become one, since a hashtag ends at a space. */
  function written(tag) {
    if (/^[\p{L}\p{M}\p{N}_]+$/u.test(tag)) return `#${tag}`;
    return `#${tag.split(/[^\p{L}\p{M}\p{N}_]+/u).filter(Boolean).map(word => word[0].toUpperCase() + word.slice(1)).join("")}`;
  }

  async function ask(path, body, signal) {
    const headers = { "Content-Type": "application/json" };
    if (set.key) headers.Authorization = `Bearer ${set.key}`;
    const answer = await fetch(`${address}v1/${path}`, { method: "POST", headers, body: JSON.stringify(body), signal, credentials: "same-origin" });
    const said = await answer.json();
    if (!answer.ok) throw Object.assign(new Error(said.detail || answer.statusText), { status: answer.status });
    return said;
  }

  /** Whether the key was told that it may send no feedback. */
  let mute = false;

  class Field {
    constructor(area) {
      this.area = area;
      this.refused = [];
      this.told = new Set();
      this.id = area.dataset.hashloomPostId || `widget-${token()}`;
      this.host = el("div", { "data-hashloom-for": area.id || area.name || "" });
      const root = this.host.attachShadow({ mode: "open" }), sheet = new CSSStyleSheet();
      sheet.replaceSync(STYLE);
      root.adoptedStyleSheets = [sheet];
      this.list = el("ul", { role: "list", "aria-label": `${say("tags")}. ${say("keys")}`, dir: "auto" });
      this.lost = el("p", { class: "lost", hidden: "" });
      this.aloud = el("p", { class: "sr", role: "status", "aria-live": "polite" });
      root.append(this.list, this.lost, this.aloud);
      area.after(this.host);
      area.addEventListener("input", event => { if (!event.isComposing) this.later(); });
      area.addEventListener("compositionstart", () => clearTimeout(this.timer));
      area.addEventListener("compositionend", () => this.later());
      this.list.addEventListener("keydown", event => this.key(event));
      if (area.value.trim()) this.later();
    }

    own(name) {
      const own = this.area.dataset[`hashloom${name[0].toUpperCase()}${name.slice(1)}`];
      return own ?? set[name];
    }

    later() {
      clearTimeout(this.timer);
      this.timer = setTimeout(() => this.suggest(), 250);
    }

    about() {
      const made = {};
      for (const name of ["community", "user"]) if (this.own(name) !== undefined) made[name] = this.own(name);
      return made;
    }

    async suggest() {
      this.asked?.abort();
      const mine = (this.asked = new AbortController());
      if (!this.area.value.trim()) return this.show({ suggestions: [] });
      const draft = { ...this.about(), text: this.area.value, k: Number(set.k) || 6, post_id: this.id, unwanted: this.refused.slice(-100) };
      if (this.own("platform")) draft.platform = this.own("platform");
      try {
        this.show(await ask("suggest", draft, mine.signal));
        this.lost.hidden = true;
      } catch (error) {
        if (error.name === "AbortError" || mine.signal.aborted) return;
        const away = error instanceof TypeError;
        if (away && !hinted && new URL(address).origin !== location.origin) {
          hinted = true;  // who builds the page, not its visitors, can do something about it
          console.warn(`Hashloom: no answer from ${address}. If it runs there, it has to name this page: hashloom serve --origin ${location.origin}`);
        }
        this.lost.textContent = say("lost", { why: away ? say("away") : error.message });
        this.lost.hidden = false;
      }
    }

    show(answer) {
      const focused = this.host.shadowRoot.activeElement, at = focused ? [...this.list.children].indexOf(focused.closest("li")) : -1;
      this.answer = answer;
      this.list.replaceChildren(...answer.suggestions.map((one, rank) => this.chip(one, rank)));
      if (at >= 0) (this.takes()[Math.min(at, answer.suggestions.length - 1)] ?? this.area).focus();
      clearTimeout(this.hearing);
      const tags = answer.suggestions.map(one => one.tag).join(", ");
      if (tags) this.hearing = setTimeout(() => { this.aloud.textContent = say("heard", { tags }); }, 1200);
    }

    takes() { return [...this.list.querySelectorAll(".take")]; }

    chip(one, rank) {
      const take = el("button", { type: "button", class: "take", "aria-label": say("take", { tag: one.tag }), tabindex: rank ? -1 : 0 }, el("bdi", {}, `#${one.tag}`));
      const refuse = el("button", { type: "button", class: "refuse", tabindex: -1, "aria-label": say("refuse", { tag: one.tag }) }, "×");
      take.addEventListener("click", () => this.accept(one));
      refuse.addEventListener("click", () => this.refuse(one));
      const item = el("li", {}, take, refuse);
      item.one = one;
      return item;
    }

    key(event) {
      const takes = this.takes(), at = takes.indexOf(event.target.closest(".take"));
      if (at < 0 || event.ctrlKey || event.metaKey || event.altKey) return;
      const turned = getComputedStyle(this.list).direction === "rtl" ? -1 : 1;
      const step = { ArrowRight: turned, ArrowLeft: -turned, ArrowDown: 1, ArrowUp: -1 }[event.key];
      if (step) {
        const to = takes[(at + step + takes.length) % takes.length];
        takes.forEach(one => { one.tabIndex = one === to ? 0 : -1; });
        to.focus();
      } else if (event.key === "Delete" || event.key === "Backspace") this.refuse(takes[at].closest("li").one);
      else if (event.key === "Escape") this.area.focus();
      else return;
      event.preventDefault();
    }

    accept(one) {
      const before = this.area.value, gap = !before || /\s$/.test(before) ? "" : " ";
      this.tell("accepted", one);
      this.area.setRangeText(`${gap}${written(one.tag)}`, before.length, before.length, "end");
      this.drop(one);
      this.aloud.textContent = say("taken", { tag: one.tag });
      this.area.dispatchEvent(new Event("input", { bubbles: true }));
    }

    refuse(one) {
      this.tell("rejected", one);
      this.refused.push(one.tag);
      this.drop(one);
      this.aloud.textContent = say("refused", { tag: one.tag });
      this.later();
    }

    drop(one) {
      const heard = this.hearing;
      this.show({ ...this.answer, suggestions: this.answer.suggestions.filter(other => other !== one) });
      clearTimeout(heard);
      clearTimeout(this.hearing);
    }

    /** Feedback, and once what was shown; a key that may not send any changes nothing for the writer, and sends no more. */
    tell(kind, one) {
      if (mute) return;
      const event = (row, rank, name) => ({ ...this.about(), token: token(), post_id: this.id, tag: row.tag, event: name, rank, score: row.score, ...(this.answer.model ? { model: this.answer.model } : {}) });
      const rows = this.answer.suggestions, events = [];
      rows.forEach((row, rank) => {
        if (!this.told.has(same(row.tag))) events.push(event(row, rank, "shown"));
        this.told.add(same(row.tag));
      });
      ask("feedback", { events: [...events, event(one, rows.indexOf(one), kind)] }).catch(error => {
        if (error.status === 403) mute = true;
        console.debug("Hashloom:", error.message);
      });
    }
  }

  const known = new WeakSet(), selector = set.selector || "textarea";
  function look(root) {
    for (const area of root.querySelectorAll?.(selector) ?? []) {
      if (known.has(area) || area.localName !== "textarea" || area.dataset.hashloom === "off") continue;
      known.add(area);
      new Field(area);
    }
  }
  function begin() {
    look(document);
    new MutationObserver(() => look(document)).observe(document.body, { childList: true, subtree: true });
  }
  document.readyState === "loading" ? addEventListener("DOMContentLoaded", begin, { once: true }) : begin();
})();
