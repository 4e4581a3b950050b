// Tags as they are written in a post, and the way to the clipboard.
import { announce, notice, say } from "./common.js";

/** A hashtag: CamelCase is kept, several words become one, since a hashtag ends at a space. */
function written(tag) {
  const shown = tag.normalize("NFKC");
  if (/^[\p{L}\p{M}\p{N}_]+$/u.test(shown)) return `#${shown}`;
  return `#${shown.split(/[^\p{L}\p{M}\p{N}_]+/u).filter(Boolean).map(word => word[0].toUpperCase() + word.slice(1)).join("")}`;
}

/** Tags as a line; with a sign they stand in the text, else in a field of their own. */
export const line = (tags, sign) => (sign ? tags.map(written).filter(tag => tag !== "#").join(" ") : tags.join(", "));

/** Copy a text, and say on the button whether that was done. */
export async function copied(button, name, text) {
  let done = "copied";
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    done = "not copied";
    notice("picture-says", say(done), "bad");
  }
  announce(say(done));
  if (done === "copied") button.textContent = say(done);
  setTimeout(() => { button.textContent = say(name); }, 1500);
}
