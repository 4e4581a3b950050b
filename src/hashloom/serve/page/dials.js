// Dials of the composer: what is moved up and down in the list, and whether it ends where it is best.
import { $, el, percent, say } from "./common.js";

const NAMES = ["popularity", "diversity", "novelty"];

/** A dial that was not touched is not sent: the model then answers as it was published. */
export class Dials {
  constructor(changed) {
    this.changed = changed;
    this.turned = {};
    this.draw();
  }

  values() { return { ...this.turned }; }

  draw() {
    const kept = document.activeElement?.id;
    const reset = el("button", { type: "button", class: "small", id: "dials-reset", disabled: !Object.keys(this.turned).length, on: { click: () => { this.turned = {}; this.draw(); $("adjust").querySelector("summary").focus(); this.changed(); } } }, say("as published"));
    $("dials").replaceChildren(el("p", { class: "fine" }, say("dials help")), ...NAMES.map(name => this.dial(name)), this.length(), el("div", { class: "row start" }, reset));
    if (kept && $("dials").contains($(kept))) $(kept).focus();
  }

  dial(name) {
    const said = el("output", { for: `dial-${name}` }, this.told(name));
    const input = el("input", { type: "range", id: `dial-${name}`, min: 0, max: 1, step: 0.1, value: this.turned[name] ?? 0, "aria-describedby": `dial-${name}-says`, "aria-valuetext": this.told(name) });
    input.addEventListener("input", () => {
      this.turned[name] = Number(input.value);
      said.textContent = this.told(name);
      input.setAttribute("aria-valuetext", this.told(name));
      $("dials-reset").disabled = false;
      this.changed();
    });
    return el("div", { class: "dial" }, el("label", { for: `dial-${name}` }, say(`dial ${name}`)), said, input, el("p", { class: "fine", id: `dial-${name}-says` }, say(`dial ${name} costs`)));
  }

  told(name) { return name in this.turned ? percent(this.turned[name]) : say("untouched"); }

  length() {
    const box = el("input", { type: "checkbox", id: "adaptive", checked: this.turned.adaptive === true, "aria-describedby": "adaptive-says" });
    box.addEventListener("change", () => { this.turned.adaptive = box.checked; $("dials-reset").disabled = false; this.changed(); });
    return el("div", { class: "dial" }, el("label", { class: "tick", for: "adaptive" }, box, say("adaptive")), el("p", { class: "fine", id: "adaptive-says" }, say("adaptive costs")));
  }
}
