// The page of a forecaster: a pasted or stored history in, a fan chart of the forecast out.

import { date, isForecast, makeChart, middle } from "./chart.js";
import { format, parse } from "./csv.js";
import { byId, element, tryIt } from "./page.js";

const UNITS = { min: 60_000, h: 3_600_000, D: 86_400_000, W: 7 * 86_400_000 };
const WEEKS = 2; // of history that are drawn
const HORIZONS = 8; // drawn instead if a step is a day or longer
const COLUMNS = ["ds", "y_hat", "lo_80", "hi_80", "lo_95", "hi_95"];

const stored = new Map(); // promises of histories, by series; undefined is the first series
let given, answered, drawn;

const draw = makeChart(byId("chart"), readOut);

tryIt({
  path: "forecast",
  body: (text) => {
    given = text.trim() ? parse(text) : null;
    return { ...(given && { history: given }), h: byId("steps").valueAsNumber, level: [80, 95] };
  },
  show: (answer) => {
    const forecasts = Map.groupBy(answer.forecast, (row) => row.unique_id);
    answered = { forecasts, given, warning: answer.warning };
    const names = [...forecasts.keys()];
    const kept = names.includes(byId("series").value) ? byId("series").value : names[0];
    byId("series").replaceChildren(...names.map((name) => element("option", "", name)));
    byId("series").value = kept;
    byId("choose").hidden = names.length < 2;
    showSeries().catch(showError);
  },
});

start();

/** Load the stored history once the model is ready, then ask for its forecast. */
async function start() {
  try {
    const { history, horizon } = await storedHistory();
    byId("steps").value ||= horizon;
    const names = Object.keys(history[0]).join(",");
    byId("columns").textContent =
      `Header: ${names}. Errors of the service number the rows below it from 0. ` +
      "If the box is empty, the stored history is used.";
    byId("form").requestSubmit();
  } catch (error) {
    showError(error);
  }
}

function showError(error) {
  byId("error").textContent = error.message;
}

function storedHistory(name) {
  if (!stored.has(name)) {
    stored.set(name, fetchHistory(name));
    stored.get(name).catch(() => stored.delete(name));
  }
  return stored.get(name);
}

async function fetchHistory(name) {
  const query = name === undefined ? "" : `?unique_id=${encodeURIComponent(name)}`;
  for (;;) {
    const response = await fetch(`history${query}`).catch(() => null);
    if (response?.ok) return response.json();
    if (response?.status !== 503)
      throw new Error("The stored history cannot be read; the service may have failed.");
    const seconds = Number(response.headers.get("Retry-After")) || 1;
    await new Promise((resolve) => setTimeout(resolve, 1000 * seconds));
  }
}

/** Show the forecast of the chosen series after its history. */
async function showSeries() {
  const { forecasts, given, warning } = answered;
  const name = byId("series").value;
  const rows = forecasts.get(name);
  // A pasted series may not be stored; all series share the first one's grid.
  const isStored = !given && forecasts.size > 1;
  const asked = (drawn = { name: forecasts.size > 1 && name, rows });
  const { history, horizon, freq } = await storedHistory(isStored ? name : undefined);
  if (asked !== drawn) return;
  const [, count, unit] = /^(\d*)(\D+)$/.exec(freq);
  const step = (Number(count) || 1) * UNITS[unit];
  // A date alone is UTC, a time without a zone would be taken for local.
  const utc = (ds) => Date.parse(ds.replace(/(T[\d:]+)$/, "$1Z"));
  const ahead = rows.map((row) => ({ ...row, time: utc(row.ds) }));
  const own = given?.filter((row) => (row.unique_id ?? rows[0].unique_id) === name) ?? history;
  // Counted back from the forecast: pasted times may be in another zone than the answer.
  const past = own.map((row, i) => ({ y: row.y, time: ahead[0].time - step * (own.length - i) }));
  const usual = step < UNITS.D ? (WEEKS * UNITS.W) / step : HORIZONS * horizon;
  const number = inDigits([...past, ...ahead]);
  Object.assign(drawn, { horizon, step, ahead, past, usual, number });
  byId("answer").replaceChildren(...headline(drawn, warning));
  byId("table").replaceChildren(table(drawn));
  byId("copied").textContent = "";
  redraw();
}

function redraw() {
  const { ahead, past, usual, horizon } = drawn;
  const isClose = byId("closer").ariaPressed === "true";
  draw([...past.slice(isClose ? -Math.max(horizon, ahead.length) : -usual), ...ahead]);
}

/** Return how to write numbers of this size: three significant digits of the largest. */
function inDigits(points) {
  const largest = Math.max(...points.map((point) => Math.abs(middle(point))));
  const decimals = Math.min(9, Math.max(0, 2 - Math.floor(Math.log10(largest || 1))));
  const digits = { minimumFractionDigits: decimals, maximumFractionDigits: decimals };
  return new Intl.NumberFormat("en", digits).format;
}

function* headline({ name, ahead, step, number }, warning) {
  const peak = ahead.reduce((best, row) => (row.y_hat > best.y_hat ? row : best));
  const total = ahead.reduce((sum, row) => sum + row.y_hat, 0);
  const count = ahead.length === 1 ? "1 step" : `${ahead.length} steps`;
  yield element("p", "over", `Forecast of ${count}${name ? ` of ${name}` : ""}`);
  const when = element("small", "", inWords(peak.time, step));
  yield element("h2", "peak", `Peak ${number(peak.y_hat)} `, when);
  const mean = number(total / ahead.length);
  const range = `${number(peak.lo_80)} to ${number(peak.hi_80)}`;
  const all = `${number(total)} in total, ${mean} per step`;
  yield element("p", "", `80% interval ${range}. Over ${count}, ${all}.`);
  if (warning) yield element("p", "notice", element("strong", "", "Note."), ` ${warning}`);
}

function inWords(time, step) {
  const day = { weekday: "short", day: "numeric", month: "short", year: "numeric" };
  const clock = { hour: "2-digit", minute: "2-digit" };
  return date(time, day) + (step < UNITS.D ? `, ${date(time, clock)}` : "");
}

/** Write the values of a point next to the legend, or clear them; return them in words. */
function readOut(point, isShown) {
  if (!point) return "";
  const { step, number } = drawn;
  const range = (level) =>
    isForecast(point) ? `${number(point[`lo_${level}`])} to ${number(point[`hi_${level}`])}` : "";
  const values = {
    moment: inWords(point.time, step),
    actual: isForecast(point) ? "" : number(point.y),
    median: isForecast(point) ? number(point.y_hat) : "",
    inner: range(80),
    outer: range(95),
  };
  for (const [name, value] of Object.entries(values))
    byId("readout").querySelector(`.${name} dd`).textContent = isShown ? value : "";
  byId("readout").classList.toggle("rest", !isShown);
  const { moment, actual, median, inner, outer } = values;
  const said = actual ? `actual ${actual}` : `median ${median}, 80% ${inner}, 95% ${outer}`;
  return `${moment}: ${said}`;
}

function table({ ahead, number }) {
  const heads = ["Time", "Median", "80%", "95%"].map((name) => {
    const cell = element("th", "", name);
    cell.scope = "col";
    return cell;
  });
  const rows = ahead.map((row) => {
    const range = (level) => `${number(row[`lo_${level}`])} – ${number(row[`hi_${level}`])}`;
    const time = element("th", "", row.ds.replace("T", " ").replace(/:00(Z?)$/, "$1"));
    time.scope = "row";
    const values = [number(row.y_hat), range(80), range(95)];
    return element("tr", "", time, ...values.map((value) => element("td", "", value)));
  });
  const head = element("thead", "", element("tr", "", ...heads));
  return element("table", "", head, element("tbody", "", ...rows));
}

byId("series").addEventListener("change", () => showSeries().catch(showError));

byId("closer").addEventListener("click", () => {
  byId("closer").ariaPressed = String(byId("closer").ariaPressed !== "true");
  redraw();
});

byId("fill").addEventListener("click", async () => {
  try {
    byId("text").value = format((await storedHistory()).history);
  } catch (error) {
    showError(error);
  }
});

byId("copy").addEventListener("click", async () => {
  const own = (row) => Object.fromEntries(COLUMNS.map((name) => [name, row[name]]));
  try {
    await navigator.clipboard.writeText(format(drawn.rows.map(own)));
    byId("copied").textContent = "Copied.";
  } catch {
    byId("copied").textContent = "The browser does not allow copying; select the table instead.";
  }
});
