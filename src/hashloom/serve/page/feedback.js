// Feedback: what was shown, taken, refused and typed goes to the service, once each, also after it was away for a while.
import { ask, same, unique } from "./common.js";

export class Feedback {
  /** `common` gives community, post and author; `failed` is told of an error and of what to try again. */
  constructor(common, failed) {
    this.common = common;
    this.failed = failed;
    this.silent = false;
    this.queue = [];
    this.told = new Set();
  }

  /** Feedback on a tag; with it goes, once, what was shown when it was given. */
  say(kind, tag, answer, one) {
    if (this.silent) return;
    const common = this.common(), model = answer?.model ? { model: answer.model } : {};
    const about = (row, rank) => ({ ...common, tag: row.tag, rank, score: row.score, ...model });
    (answer?.suggestions ?? []).forEach((row, rank) => {
      if (this.told.has(same(row.tag))) return;
      this.told.add(same(row.tag));
      this.queue.push({ ...about(row, rank), event: "shown", token: unique() });
    });
    this.queue.push({ ...(one ? about(one, answer.suggestions.indexOf(one)) : { ...common, tag }), event: kind, token: unique() });
    this.send();
  }

  /** Send what waits; an event sent twice counts once, so that a lost answer does no harm. */
  async send() {
    if (this.sending || !this.queue.length) return;
    this.sending = true;
    try {
      while (this.queue.length) {
        const events = this.queue.slice(0, 500);
        await ask("POST", "feedback", { body: { events } });
        this.queue.splice(0, events.length);
      }
    } catch (error) {
      const lasting = error.status >= 400 && error.status < 429;
      if (lasting) this.queue.length = 0;
      this.failed(error, lasting ? null : () => this.send());
    } finally {
      this.sending = false;
    }
  }
}
