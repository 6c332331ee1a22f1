// The page of a forecaster: a pasted or stored history in, a fan chart of the forecast out.

import { date, isForecast, makeChart, middle } from "./chart.js";
import { format, parse } from "./csv.js";
import { byId, element, read, tryIt } from "./page.js";

const UNITS = { min: 60_000, h: 3_600_000, D: 86_400_000, W: 7 * 86_400_000 };
const HORIZONS = 7; // of history that are drawn
const FEWEST = 50; // steps of history that are drawn, if there are as many
const UNNAMED = "y"; // what the API calls a series without a name
const COLUMNS = ["ds", "y_hat", "lo_80", "hi_80", "lo_95", "hi_95"];

const chooser = byId("series");
const histories = new Map(); // promises, by stored series
let stored; // names of the stored series, and what they have in common
let filled = {}; // the stored series whose history is in the box, and the text that it was
let names = []; // that can be chosen
let given, answered, drawn;

const draw = makeChart(byId("chart"), readOut);

tryIt({
  path: "forecast",
  body: (text) => {
    given = text.trim() && text !== filled.text ? parse(text) : null;
    const asked = given ? { history: given } : { unique_id: filled.name };
    return { ...asked, h: byId("steps").valueAsNumber, level: [80, 95] };
  },
  show: (answer) => {
    const forecasts = Map.groupBy(answer.forecast, (row) => row.unique_id);
    answered = { forecasts, given, warning: answer.warning };
    const [first] = forecasts.keys();
    offer(forecasts.size > 1 ? [...forecasts.keys()] : stored.series);
    showSeries(forecasts.has(drawn?.name) ? drawn.name : first).catch(showError);
  },
});

start();

/** Ask for the forecast of the first stored series once the model is ready. */
async function start() {
  try {
    stored = await readStored("series");
    byId("steps").value ||= stored.horizon;
    fill(stored.series[0]);
  } catch (error) {
    showError(error);
  }
}

/** Fill the history of a stored series into the box, and ask for its forecast. */
async function fill(name) {
  const asked = (filled = { name });
  try {
    const text = format(await storedHistory(name));
    if (asked !== filled) return;
    byId("text").value = filled.text = text;
    byId("columns").textContent =
      `Header: ${text.split("\n", 1)}. Errors of the service number the rows below it from 0. ` +
      "If the box is empty, the stored history is used.";
    byId("form").requestSubmit();
  } catch (error) {
    showError(error);
  }
}

function showError(error) {
  byId("error").textContent = error.message;
}

async function storedHistory(name) {
  if (!histories.has(name)) {
    histories.set(name, readStored(`history?unique_id=${encodeURIComponent(name)}`));
    histories.get(name).catch(() => histories.delete(name));
  }
  return (await histories.get(name)).history;
}

async function readStored(path) {
  return read(path).catch(() => {
    throw new Error("The stored history cannot be read; the service may have failed.");
  });
}

/** Offer series to choose from. */
function offer(series) {
  byId("choose").hidden = series.length < 2;
  if (series === names) return;
  names = series;
  byId("names").replaceChildren(...names.map((name) => new Option(name)));
  byId("many").textContent = `Series (${names.length}, type to search)`;
}

/** Take the series that the chooser names, or the first one with that text in its name. */
function choose() {
  const text = chooser.value.trim().toLowerCase();
  const found = [
    names.find((name) => name === chooser.value),
    names.find((name) => text && name.toLowerCase().includes(text)),
  ].find(Boolean);
  chooser.setCustomValidity(text && !found ? "No series has this in its name." : "");
  if (!chooser.reportValidity() || !found || found === drawn.name) return;
  if (answered.forecasts.size > 1) showSeries(found).catch(showError);
  else fill(found);
}

/** Show the forecast of a series after its history. */
async function showSeries(name) {
  const { forecasts, given, warning } = answered;
  const { freq, horizon } = stored;
  const rows = forecasts.get(name);
  const asked = (drawn = { name, rows });
  chooser.value = names.includes(name) ? name : "";
  const own = given
    ? given.filter((row) => (row.unique_id ?? UNNAMED) === name)
    : await storedHistory(name);
  if (asked !== drawn) return;
  const [, count, unit] = /^(\d*)(\D+)$/.exec(freq);
  const step = (Number(count) || 1) * UNITS[unit];
  // A date alone is UTC, a time without a zone would be taken for local.
  const utc = (ds) => Date.parse(ds.replace(/(T[\d:]+)$/, "$1Z"));
  const ahead = rows.map((row) => ({ ...row, time: utc(row.ds) }));
  // Counted back from the forecast: pasted times may be in another zone than the answer.
  const past = own.map((row, i) => ({ y: row.y, time: ahead[0].time - step * (own.length - i) }));
  const usual = Math.max(HORIZONS * horizon, FEWEST);
  const number = inDigits([...past.slice(-usual), ...ahead], ahead);
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

/**
 * Return how to write numbers: with three significant digits of the largest, and two of how wide
 * intervals usually are.
 */
function inDigits(points, ahead) {
  const largest = Math.max(...points.map((point) => Math.abs(middle(point)))) || 1;
  const width = ahead.reduce((sum, row) => sum + row.hi_80 - row.lo_80, 0) / ahead.length;
  const needed = Math.max(2 - Math.log10(largest), 1 - Math.log10(width || largest));
  const decimals = Math.min(9, Math.max(0, Math.ceil(needed)));
  const digits = { minimumFractionDigits: decimals, maximumFractionDigits: decimals };
  return new Intl.NumberFormat("en", digits).format;
}

function* headline({ name, ahead, step, number }, warning) {
  const peak = ahead.reduce((best, row) => (row.y_hat > best.y_hat ? row : best));
  const total = ahead.reduce((sum, row) => sum + row.y_hat, 0);
  const count = ahead.length === 1 ? "1 step" : `${ahead.length} steps`;
  yield element("p", "over", `Forecast of ${count}${name === UNNAMED ? "" : ` of ${name}`}`);
  const when = element("small", "", inWords(peak.time, step));
  yield element("h2", "peak", `Peak ${number(peak.y_hat)} `, when);
  const mean = number(total / ahead.length);
  const range = `${number(peak.lo_80)} to ${number(peak.hi_80)}`;
  const sum = stored.total ? `${number(total)} in total, ` : "";
  yield element("p", "", `80% interval ${range}. Over ${count}, ${sum}${mean} on average.`);
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

chooser.addEventListener("change", choose);
// A name from the list need not be confirmed.
chooser.addEventListener("input", ({ inputType }) => {
  chooser.setCustomValidity("");
  if (inputType === "insertReplacementText") choose();
});

// Browsers list only what contains the text: emptied, all series.
for (const event of ["focus", "click"])
  chooser.addEventListener(event, () => {
    if (!names.includes(chooser.value)) return;
    chooser.placeholder = chooser.value;
    chooser.value = "";
  });

chooser.addEventListener("blur", () => {
  chooser.setCustomValidity("");
  chooser.value = names.includes(drawn.name) ? drawn.name : "";
});

byId("closer").addEventListener("click", () => {
  byId("closer").ariaPressed = String(byId("closer").ariaPressed !== "true");
  redraw();
});

byId("fill").addEventListener("click", () => fill(filled.name));

byId("copy").addEventListener("click", async () => {
  const own = (row) => Object.fromEntries(COLUMNS.map((name) => [name, row[name]]));
  try {
    await navigator.clipboard.writeText(format(drawn.rows.map(own)));
    byId("copied").textContent = "Copied.";
  } catch {
    byId("copied").textContent = "The browser does not allow copying; select the table instead.";
  }
});
