// The page of a text classifier: a text in, a label and the probability of each label out.

import { byId, element, tryIt } from "./page.js";

const percent = (share) => (share < 0.0005 ? "<0.1%" : `${(100 * share).toFixed(1)}%`);

tryIt({
  path: "predict",
  body: (text) => ({ texts: [text] }),
  show: ({ predictions: [prediction] }) => {
    byId("answer").append(...headline(prediction));
    const byShare = Object.entries(prediction.probabilities).sort(([, a], [, b]) => b - a);
    byId("chart").replaceChildren(...byShare.map(row));
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
