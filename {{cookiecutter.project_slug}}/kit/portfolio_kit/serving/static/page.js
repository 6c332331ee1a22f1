// The page of every project type: it asks the API, says in words what went wrong, and shows which
// model answers. What it shows goes in as text, never as markup.

const PATIENCE_SECONDS = 30;
const PAUSE_MS = 200; // in typing, until the text is sent

export const byId = (id) => document.getElementById(id);

/** Return a new element of a class that holds these texts and elements. */
export function element(tag, className, ...children) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.append(...children);
  return made;
}

/**
 * Make the form ask: it posts `body(text, model)` to `path`, unless that is null, and lets
 * `show(answer, question)` fill #answer, which a screen reader reads out, and #details, which it
 * does not. `asYouType` asks after each pause in typing, and Enter asks at once. Return what asks
 * the question that a function makes.
 */
export function tryIt({ path, body, show, asYouType = false }) {
  const form = byId("form");
  const text = byId("text");
  const result = byId("result");
  const nothingYet = [...byId("answer").childNodes];
  let latest = new AbortController();
  let pause;
  let model; // what /about says, once it is loaded

  async function pose(makeQuestion, scrolls = true) {
    clearTimeout(pause);
    latest.abort(); // the newest question counts
    const asked = (latest = new AbortController());
    result.ariaBusy = "true";
    let question, answer, message;
    try {
      question = makeQuestion();
      answer = question && (await ask(path, question, asked.signal));
    } catch (error) {
      message = error.message;
    }
    if (asked !== latest) return;
    result.ariaBusy = "false";
    byId("error").textContent = message ?? "";
    byId("details").hidden = !answer;
    byId("answer").replaceChildren(...(question === null ? nothingYet : []));
    if (answer) show(answer, question);
    if (!scrolls) return;
    const { top, bottom } = byId("answer").getBoundingClientRect();
    if (top < 0 || bottom > innerHeight) result.scrollIntoView(); // on a phone it is far below
  }

  const fromBox = () => body(text.value, model);

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    pose(fromBox);
  });

  text.addEventListener("keydown", (event) => {
    const asks = asYouType ? !event.shiftKey && !event.isComposing : event.ctrlKey || event.metaKey;
    if (event.key !== "Enter" || !asks) return;
    event.preventDefault();
    form.requestSubmit();
  });

  text.addEventListener("input", () => {
    if (!asYouType) return;
    clearTimeout(pause);
    pause = setTimeout(pose, text.value ? PAUSE_MS : 0, fromBox, false);
  });

  const choose = (example) => {
    text.value = example;
    form.requestSubmit();
  };
  describe(choose, (loaded) => (model = loaded));
  return pose;
}

/** Return what the API answers to a GET, or to a POST of `body`; throw an Error to be shown. */
async function ask(path, body, signal) {
  const post = { method: "POST", headers: { "Content-Type": "application/json" } };
  const patience = AbortSignal.timeout(1000 * PATIENCE_SECONDS);
  let response, text;
  try {
    response = await fetch(path, {
      ...(body && { ...post, body: JSON.stringify(body) }),
      signal: signal ? AbortSignal.any([signal, patience]) : patience,
    });
    text = await response.text();
  } catch {
    throw new Error(
      patience.aborted
        ? `The service did not answer within ${PATIENCE_SECONDS} s.`
        : "The service cannot be reached. Check that it runs and that you are online.",
    );
  }
  let answer;
  try {
    answer = JSON.parse(text);
  } catch {
    // A page of some proxy's: its status has to be enough.
  }
  if (response.ok && answer) return answer;
  const retryAfter = Number(response.headers.get("Retry-After")) || 1;
  throw Object.assign(new Error(inWords(response.status, answer?.detail, retryAfter)), {
    retryAfter: response.status === 503 ? retryAfter : null,
  });
}

function inWords(status, detail, retryAfter) {
  // 429 is what some hosts say in front of a service that is overloaded.
  if (status === 503 || status === 429)
    return `The service is busy or still starting. Try again in ${retryAfter} s.`;
  if (status === 413) return `That is too much for one request. ${detail ?? ""}`;
  if (status === 422 && Array.isArray(detail))
    return `The request is invalid. ${detail.map(problemInWords).join("; ")}.`;
  if (status < 400 || status >= 500)
    return `The service failed (status ${status}). Its log says why; trying again may help.`;
  return `The service rejected the request (status ${status}). ${detail ?? ""}`;
}

function problemInWords({ loc, msg }) {
  // ["body", "texts", "0"] is texts.0, and ["body"] all of it.
  return `${loc.slice(1).join(".") || "body"}: ${msg}`;
}

/** Say which model answers, as soon as it is loaded, and offer its examples. */
async function describe(choose, keep) {
  let model;
  try {
    model = await ask("about");
  } catch (error) {
    byId("about").textContent = error.retryAfter ? "The model is still loading …" : error.message;
    if (error.retryAfter) setTimeout(describe, 1000 * error.retryAfter, choose, keep);
    return;
  }
  keep(model);
  document.title = byId("name").textContent = model.name;
  byId("problem").textContent = model.problem;
  const scores = Object.entries(model.metrics ?? {});
  byId("about").textContent = scores.length
    ? "Scores on held-out data, which training never saw."
    : "This model has not been evaluated on held-out data yet.";
  byId("model").replaceChildren(
    fact("model", model.model_version),
    ...scores.map(([metric, score]) => fact(metric.replaceAll("_", " "), score.toFixed(3))),
  );
  const buttons = model.examples.map((text) => element("li", "", exampleButton(text, choose)));
  byId("examples").querySelector("ul").replaceChildren(...buttons);
  byId("examples").hidden = !buttons.length;
}

function fact(term, description) {
  return element("div", "", element("dt", "", term), element("dd", "", description));
}

function exampleButton(text, choose) {
  const button = element("button", "", element("span", "", text));
  button.type = "button";
  button.addEventListener("click", () => choose(text));
  return button;
}
