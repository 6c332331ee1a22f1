// The page of a search service: it finds documents while a query is typed, and others like them.

import { byId, element, tryIt } from "./page.js";

const K = 10; // documents
const SNIPPET = 320; // characters, about four lines
const LEAD = 60; // of these come before the first match
const WORD = /[\p{L}\p{N}_]+/gu; // as the service splits texts

const segmenter = new Intl.Segmenter([], { granularity: "word" });
const back = byId("back");
let liked; // the document whose neighbours were asked for last

const pose = tryIt({
  path: "search",
  asYouType: true,
  body: (text) => {
    if (text.trim()) return { query: text, k: K };
    back.hidden = true; // there is no query to go back to
    return null;
  },
  show: ({ results }, { document_id }) => {
    back.hidden = document_id === undefined;
    byId("answer").append(...headline(results.length, back.hidden ? null : liked));
    byId("details").hidden = !results.length;
    const items = results.map((result) => resultItem(result, result.score.toFixed(3)));
    byId("results").replaceChildren(...items);
  },
});

back.addEventListener("click", () => {
  stay();
  byId("form").requestSubmit();
});

function findLike(result) {
  liked = result;
  back.hidden = false; // at once, since it also leads out of an error
  stay();
  pose(() => ({ document_id: result.id, k: K }));
}

/** The pressed button disappears with the old results: move the focus to the new ones. */
function stay() {
  byId("result").focus({ preventScroll: true });
}

function* headline(count, like) {
  if (like) yield element("h2", "like", "Like ", element("bdi", "", nameOf(like)));
  const found = `${count || "No"} document${count > 1 ? "s" : ""} found`;
  yield element("p", "over", count === K ? `The ${K} best documents` : found);
  if (!count && !like) yield element("p", "nothing-yet", "Other words may find one.");
}

function resultItem(result, score) {
  const matched = new Set(result.matched);
  const title = directed("h2", ...marked(nameOf(result), matched));
  const id = element("span", "id", nameOf(result) === result.id ? "" : result.id);
  const ranked = element("span", "score", `score ${score}`);
  const [text, ...controls] = foldable(result, matched);
  const like = quiet("More like this", result);
  like.addEventListener("click", () => findLike(result));
  const head = element("div", "head", title, " ", id, " ", ranked);
  return element("li", "", head, text, element("div", "controls", ...controls, like));
}

/** Return a result's text, or part of a long one and a button that shows all of it. */
function foldable({ text, ...result }, matched) {
  const [from, to] = bestPart(text, matched);
  const part = marked(text.slice(from, to).trim(), matched);
  if (from > 0) part.unshift("…\u00a0");
  if (to < text.length) part.push("\u00a0…");
  const shown = directed("p", ...part);
  if (to - from === text.length) return [shown];
  const button = quiet("Show all", result);
  button.addEventListener("click", () => {
    const isWhole = shown.classList.toggle("whole");
    shown.replaceChildren(...(isWhole ? marked(text, matched) : part));
    label(button, isWhole ? "Show less" : "Show all", result);
  });
  return [shown, button];
}

/** Return where the part with the most distinct matched words starts and ends. */
function bestPart(text, matched) {
  if (text.length <= SNIPPET + LEAD) return [0, text.length];
  const found = [...text.matchAll(WORD)].filter(([word]) => matched.has(word));
  let [first, most] = [0, 0];
  for (const [i, { index }] of found.entries()) {
    const words = new Set();
    for (const { 0: word, index: at } of found.slice(i, i + LEAD)) {
      if (at + word.length > index + SNIPPET - LEAD) break;
      words.add(word.toLowerCase());
    }
    if (words.size > most) [first, most] = [index, words.size];
  }
  const from = wordStart(text, Math.max(0, first - LEAD));
  const to = wordStart(text, from + SNIPPET);
  return [from, to + LEAD < text.length ? to : text.length];
}

/** Return where the word at a place starts, or the place itself if that is far away. */
function wordStart(text, place) {
  const start = segmenter.segment(text).containing(place)?.index ?? place;
  return place - start < LEAD ? start : place;
}

/** Return a text in pieces, with the matched words in <mark> elements. */
function marked(text, matched) {
  const pieces = [];
  let end = 0;
  for (const { 0: word, index } of text.matchAll(WORD)) {
    if (!matched.has(word)) continue;
    pieces.push(text.slice(end, index), element("mark", "", word));
    end = index + word.length;
  }
  return [...pieces, text.slice(end)];
}

function nameOf({ id, title }) {
  return title.trim() || id;
}

/** Return a new element whose text direction follows its content. */
function directed(tag, ...children) {
  return Object.assign(element(tag, "", ...children), { dir: "auto" });
}

function quiet(name, result) {
  const button = Object.assign(element("button", "quiet"), { type: "button" });
  return label(button, name, result);
}

/** Name a button; screen readers may list all buttons, so its label names the result. */
function label(button, name, result) {
  button.textContent = name;
  button.ariaLabel = `${name}: ${nameOf(result)}`;
  return button;
}
