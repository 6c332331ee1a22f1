import { byId, tryIt } from "./page.js";

tryIt({
  path: "label",
  body: (text) => ({ texts: [text] }),
  show: ({ labels }) => byId("answer").append(labels[0].label),
});
