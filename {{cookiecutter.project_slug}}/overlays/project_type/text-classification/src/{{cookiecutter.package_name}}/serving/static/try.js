// The page of a text classifier: a text in, a label and the probability of each label out.

import { byId, element, tryIt } from "./page.js";

const SHOWN = 10; // labels, until somebody wants to see all
let count = 0; // of labels, once the model has said so
let isAll = false;

const percent = (share) => (share < 0.0005 ? "<0.1%" : `${(100 * share).toFixed(1)}%`);
const question = (texts) => ({ texts, ...(!isAll && count > SHOWN && { top_k: SHOWN }) });

const pose = tryIt({
  path: "predict",
  body: (text, model) => {
    count = model?.classes ?? 0;
    return question([text]);
  },
  show: ({ predictions: [prediction] }, { texts, top_k }) => {
    byId("answer").append(...headline(prediction));
    const byShare = Object.entries(prediction.probabilities).sort(([, a], [, b]) => b - a);
    byId("chart").replaceChildren(...byShare.map(row));
    byId("more").hidden = count <= SHOWN;
    byId("more").textContent = top_k ? `Show all ${count} labels` : `Show only the first ${SHOWN}`;
    byId("more").onclick = () => {
      isAll = Boolean(top_k);
      pose(() => question(texts), false);
    };
  },
});

function* headline({ label, confidence, needs_review }) {
  yield element("p", "over", "Most likely");
  const share = element("small", "", percent(confidence));
  yield element("h2", "label", element("span", "", label), " ", share);
  if (!needs_review) return;
  const why = "The model is too unsure to be taken at its word: a person should decide.";
  yield element("p", "notice", element("strong", "", "Needs review."), ` ${why}`);
}

function row([label, share]) {
  const bar = element("span", "bar");
  bar.style.setProperty("--share", share);
  const name = element("span", "name", label);
  return element("li", "", name, " ", bar, element("span", "share", percent(share)));
}
