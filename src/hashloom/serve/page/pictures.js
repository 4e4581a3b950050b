// Pictures of a draft: chosen, dropped or pasted; made small here, which also leaves out where they were taken.
import { $, announce, el, notice, say } from "./common.js";

const SIDE = 1024;
const KINDS = ["image/jpeg", "image/png", "image/webp", "image/gif", "image/bmp", "image/avif"];

/** At most 1,024 pixels a side, drawn anew; a file that the browser cannot draw is none. */
async function small(file) {
  const drawn = await createImageBitmap(file);
  const part = Math.min(1, SIDE / Math.max(drawn.width, drawn.height));
  const canvas = el("canvas", { width: Math.max(1, Math.round(drawn.width * part)), height: Math.max(1, Math.round(drawn.height * part)) });
  canvas.getContext("2d").drawImage(drawn, 0, 0, canvas.width, canvas.height);
  drawn.close();
  const kind = file.type === "image/jpeg" ? "image/jpeg" : "image/png";
  return new Promise(done => canvas.toBlob(done, kind, 0.9));
}

export class Pictures {
  constructor(changed) {
    this.all = [];
    this.most = 4;
    this.largest = 1e7;
    this.changed = changed;
    const drop = $("drop"), input = $("file");
    $("add-picture").addEventListener("click", () => input.click());
    input.addEventListener("change", () => { this.add(input.files); input.value = ""; });
    $("main").addEventListener("paste", event => {
      const files = [...event.clipboardData.files];
      if (files.length) { event.preventDefault(); this.add(files); }
    });
    // A picture that misses the field must not replace the page, and what was written with it.
    document.addEventListener("dragover", event => {
      if (!event.dataTransfer.types.includes("Files")) return;
      event.preventDefault();
      drop.classList.add("over");
    });
    document.addEventListener("dragleave", event => { if (!event.relatedTarget) drop.classList.remove("over"); });
    document.addEventListener("drop", event => {
      drop.classList.remove("over");
      if (!event.dataTransfer.types.includes("Files")) return;
      event.preventDefault();
      this.add(event.dataTransfer.files);
    });
  }

  async add(files) {
    const wrong = [];
    for (const file of files) {
      if (this.all.length >= this.most) { wrong.push(say("too many pictures", { n: this.most })); break; }
      if (!KINDS.includes(file.type)) { wrong.push(say("no picture", { name: file.name })); continue; }
      try {
        const blob = await small(file);
        if (blob.size > this.largest) wrong.push(say("large picture", { name: file.name, n: this.largest / 1e6 }));
        else if (this.all.length < this.most) this.all.push({ blob, name: file.name || "?", url: URL.createObjectURL(blob) });
      } catch {
        wrong.push(say("no picture", { name: file.name }));
      }
    }
    notice("picture-says", wrong.join(" "), "bad");
    this.show();
    this.changed();
  }

  remove(one) {
    URL.revokeObjectURL(one.url);
    this.all = this.all.filter(other => other !== one);
    notice("picture-says", "");
    this.show();
    (document.querySelector("#pictures button") ?? $("add-picture")).focus();
    announce(say("heard away", { tag: one.name }));
    this.changed();
  }

  show() {
    $("pictures").hidden = !this.all.length;
    $("pictures").replaceChildren(...this.all.map((one, at) => el("li", {},
      el("img", { src: one.url, alt: say("picture", { n: at + 1, name: one.name }) }),
      el("button", { type: "button", "aria-label": say("remove picture", { n: at + 1 }), on: { click: () => this.remove(one) } }, "×"))));
  }

  form(draft) {
    const form = new FormData();
    form.append("draft", JSON.stringify(draft));
    this.all.forEach((one, at) => form.append("picture", one.blob, `picture-${at}`));
    return form;
  }
}
