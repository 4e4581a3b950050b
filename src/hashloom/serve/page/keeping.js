// What stays in this browser: the draft of this tab, and the authors that were named here.
const read = (place, name, otherwise) => { try { return JSON.parse(place().getItem(`hashloom ${name}`)) ?? otherwise; } catch { return otherwise; } };
const write = (place, name, value) => { try { place().setItem(`hashloom ${name}`, JSON.stringify(value)); } catch { /* this page only */ } };
const drop = (place, name) => { try { place().removeItem(`hashloom ${name}`); } catch { /* nothing was kept */ } };
const tab = () => sessionStorage, browser = () => localStorage;
const MOST = 8;

/** The draft outlives a reload and a crash, but not the tab; pictures are not kept. */
export const keepDraft = draft => write(tab, "draft", draft);
export const keptDraft = () => read(tab, "draft", null);

export const authors = () => read(browser, "authors", []).filter(name => typeof name === "string");
export const keepAuthor = name => write(browser, "authors", [name, ...authors().filter(other => other !== name)].slice(0, MOST));
export const forgetAll = () => { drop(browser, "authors"); drop(tab, "draft"); };
