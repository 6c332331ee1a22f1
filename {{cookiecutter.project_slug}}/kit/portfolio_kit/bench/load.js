// What the simulated clients do; load.py runs this with k6 and reads its result.
import http from "k6/http";
import exec from "k6/execution";
import { Counter, Trend } from "k6/metrics";
import { sleep } from "k6";

// Each client holds a share of the bodies: a shared array would parse one for every request, which
// takes longer than answering it. Client 0, which is k6 itself, has to open all.
const bodies = [];
for (let i = 0; i < __ENV.COUNT; i++) {
  if (__VU === 0 || i % __ENV.SHARES === __VU % __ENV.SHARES)
    bodies.push(open(`${__ENV.BODIES}/${i}.json`));
}
const settings = { headers: JSON.parse(__ENV.HEADERS) };
const counters = { 200: new Counter("status_200"), 503: new Counter("status_503") };
const other = new Counter("status_other");
const milliseconds = new Trend("milliseconds_200");
const recovery = new Trend("recovery_milliseconds");
const attempts = new Counter("recovery_attempts");

export const options = JSON.parse(__ENV.OPTIONS);

function post() {
  const body = bodies[exec.vu.iterationInScenario % bodies.length];
  return http.post(__ENV.URL, body, settings);
}

export default function () {
  const response = post();
  (counters[response.status] || other).add(1);
  if (response.status === 200) {
    milliseconds.add(response.timings.duration);
  } else if (response.status !== 503) {
    console.error(`status ${response.status} ${response.error}`);
  }
}

// Measures the time from the end of the load to the next answer.
export function recover() {
  const start = Date.now();
  let response = post();
  attempts.add(1);
  while (response.status !== 200) {
    sleep(0.02);
    response = post();
    attempts.add(1);
  }
  recovery.add(Date.now() - start);
}

export function handleSummary(data) {
  return { [__ENV.RESULT]: JSON.stringify(data) };
}
