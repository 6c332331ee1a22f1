// The page of every project type: it asks the API, says in words what went wrong, and shows which
// model answers. What it shows goes in as text, never as markup.

const PATIENCE_SECONDS = 30;
const PAUSE_MS = 200; // in typing, until the text is sent
const KEY = `API key of ${location.pathname}`; // in the session storage, which is this tab's

const waiting = []; // what to do with another key
let key = remembered();
let keyForm;

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
      if (error.status === 401) waiting.push(() => asked === latest && pose(makeQuestion, scrolls));
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

/**
 * Return what the API answers to a GET, as soon as the model is loaded and a key entered, if one is
 * needed. `tell` is called with each Error on the way, also with the one that is thrown in the end.
 */
export async function read(path, tell = () => {}) {
  for (;;) {
    try {
      return await ask(path);
    } catch (error) {
      tell(error);
      if (error.status === 401) await new Promise((resolve) => waiting.push(resolve));
      else if (error.retryAfter)
        await new Promise((resolve) => setTimeout(resolve, 1000 * error.retryAfter));
      else throw error;
    }
  }
}

/** Return what the API answers to a GET, or to a POST of `body`; throw an Error to be shown. */
async function ask(path, body, signal) {
  const headers = { ...(body && { "Content-Type": "application/json" }) };
  const sent = key;
  if (sent) headers.Authorization = `Bearer ${sent}`;
  const patience = AbortSignal.timeout(1000 * PATIENCE_SECONDS);
  let response, text;
  try {
    response = await fetch(path, {
      ...(body && { method: "POST", body: JSON.stringify(body) }),
      headers,
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
  const { ok, status } = response;
  if (status === 401) askForKey(sent);
  else if (sent) closeKeyForm();
  if (ok && answer) return answer;
  const retryAfter = Number(response.headers.get("Retry-After")) || 1;
  throw Object.assign(new Error(inWords(status, answer?.detail, retryAfter)), {
    status,
    retryAfter: status === 503 || status === 429 ? retryAfter : null,
  });
}

/** Return this tab's key, after replacing it by another one. */
function remembered(other) {
  try {
    if (other) sessionStorage.setItem(KEY, other);
    return sessionStorage.getItem(KEY);
  } catch {
    return other; // the browser stores nothing
  }
}

/** Show where a key can be entered; `wrong` is one that was sent, if any. */
function askForKey(wrong) {
  if (wrong !== key) return; // another one has been entered since
  keyForm ??= makeKeyForm();
  keyForm.hidden = false;
  byId("key-hint").textContent = wrong
    ? "The service does not know this key. Enter another one."
    : "The service needs one. It stays in this tab until the tab is closed.";
  byId("key").ariaInvalid = String(Boolean(wrong));
  if (keyForm.contains(document.activeElement)) byId("key").select();
}

function makeKeyForm() {
  const input = Object.assign(element("input"), {
    id: "key",
    type: "password",
    autocomplete: "off",
    required: true,
    pattern: "\\s*[\\w\\-]+\\s*",
    title: "A key has letters, digits, - and _ only.",
  });
  input.setAttribute("aria-describedby", "key-hint");
  const label = Object.assign(element("label", "over", "API key"), { htmlFor: "key" });
  const hint = Object.assign(element("p"), { id: "key-hint", role: "status" });
  const form = element("form", "", label, element("div", "ask", input, element("button", "", "Use")), hint);
  form.id = "key-form";
  form.ariaLabel = "API key";
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    key = remembered(input.value.trim());
    for (const proceed of waiting.splice(0)) proceed();
  });
  document.querySelector("main").before(form);
  return form;
}

function closeKeyForm() {
  if (!keyForm || keyForm.hidden) return;
  if (keyForm.contains(document.activeElement)) byId("text").focus();
  keyForm.hidden = true;
}

function inWords(status, detail, retryAfter) {
  if (status === 401) return "The service needs an API key: enter it at the top of this page.";
  // Some hosts say so, too, in front of a service that is overloaded.
  if (status === 429) return `Too many requests. Try again in ${retryAfter} s.`;
  if (status === 503)
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
  const tell = ({ status, message }) => {
    byId("about").textContent = status === 503 ? "The model is still loading …" : message;
  };
  const model = await read("about", tell).catch(() => null);
  if (!model) return;
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
