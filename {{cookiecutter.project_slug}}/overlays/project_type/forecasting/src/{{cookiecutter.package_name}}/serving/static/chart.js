// A fan chart: actual values, then the median forecast with two intervals around it.

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const TOP = 10;
const BOTTOM = 26;
const MARGIN = 8; // to the right

/**
 * Make a chart in `frame`, a focusable slider; return the function that draws points, which are
 * { time, y } and then { time, y_hat, lo_80, hi_80, lo_95, hi_95 }. `point` is called with the
 * chosen point and whether to show its values, and returns it in words.
 */
export function makeChart(frame, point) {
  let points = [];
  let chosen = 0;
  let isShown = false;
  let geometry;
  let cross;

  function draw() {
    if (!points.length || !frame.clientWidth) return;
    geometry = measure(points, frame.clientWidth, frame.clientHeight);
    cross = shape("g", { class: "cross" });
    frame.replaceChildren(picture(points, geometry, cross));
  }

  function choose(index, shows = true) {
    isShown = shows;
    chosen = Math.max(0, Math.min(points.length - 1, index));
    frame.ariaValueNow = chosen;
    frame.ariaValueText = point(points[chosen], isShown);
    cross?.replaceChildren(...(isShown ? crosshair(points[chosen], geometry) : []));
  }

  function follow({ clientX }) {
    const { x, left } = geometry;
    const at = clientX - frame.getBoundingClientRect().left;
    const width = x(points.at(-1).time) - left;
    choose(Math.round(((at - left) / width) * (points.length - 1)));
  }

  const hide = () => choose(chosen, false);
  new ResizeObserver(() => (draw(), choose(chosen, isShown))).observe(frame);
  frame.addEventListener("pointerdown", follow);
  frame.addEventListener("pointermove", follow);
  frame.addEventListener("pointerleave", (event) => event.pointerType === "mouse" && hide());
  frame.addEventListener("focus", () => frame.matches(":focus-visible") && choose(chosen));
  frame.addEventListener("blur", hide);
  frame.addEventListener("keydown", (event) => {
    const page = Math.max(2, Math.round(DAY / (points[1].time - points[0].time)));
    const steps = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1 };
    Object.assign(steps, { PageDown: -page, PageUp: page, Home: -Infinity, End: Infinity });
    if (!(event.key in steps) || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    choose(chosen + steps[event.key]);
  });

  return (newPoints) => {
    points = newPoints;
    frame.ariaValueMin = 0;
    frame.ariaValueMax = points.length - 1;
    chosen = points.findIndex(isForecast);
    draw();
    hide();
  };
}

export const isForecast = (point) => "y_hat" in point;
export const middle = (point) => point.y ?? point.y_hat;

function shape(name, attributes, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

/** Return the scales of both axes and their labels. */
function measure(points, width, height) {
  const values = points.flatMap((p) => (isForecast(p) ? [p.lo_95, p.y_hat, p.hi_95] : [p.y]));
  const [least, most] = [Math.min(...values), Math.max(...values)];
  // From zero, unless the variation of large values would be lost.
  const marks = niceTicks(least > 2 * (most - least) ? least : Math.min(0, least), most);
  const notation = Math.max(...marks.map(Math.abs)) < 1e5 ? "standard" : "compact";
  const label = new Intl.NumberFormat("en", { notation, maximumSignificantDigits: 6 }).format;
  const left = 12 + 7 * Math.max(...marks.map((mark) => label(mark).length));
  const [first, last] = [points[0].time, points.at(-1).time];
  const [low, high] = [marks[0], marks.at(-1)];
  return {
    ...{ width, height, left, marks, label, first, last },
    bottom: height - BOTTOM,
    x: (time) => left + ((time - first) / (last - first)) * (width - left - MARGIN),
    y: (value) => TOP + ((high - value) / (high - low)) * (height - BOTTOM - TOP),
  };
}

function picture(points, geometry, cross) {
  const { width, height, left, last, bottom, x, y, marks, label } = geometry;
  const from = points.findIndex(isForecast);
  const actual = points.slice(0, from);
  const origin = points[Math.max(0, from - 1)];
  const now = x(origin.time);
  // The fan opens at the last actual value.
  const fan = actual.length ? [origin, ...points.slice(from)] : points;
  const end = (side) => fan.map((p) => [p.time, p[side] ?? p.y]);
  const at = ([time, value]) => `${x(time).toFixed(1)} ${y(value).toFixed(1)}`;
  const path = (pairs) => `M${pairs.map(at).join("L")}`;
  const line = (name, pairs) => shape("path", { class: name, d: path(pairs) });
  const band = (name, level) =>
    line(name, [...end(`lo_${level}`), ...end(`hi_${level}`).reverse()]);

  const rows = marks.map((mark) =>
    shape(
      "g",
      { class: mark ? "grid" : "grid zero" },
      shape("line", { x1: left, x2: width - MARGIN, y1: y(mark), y2: y(mark) }),
      shape("text", { x: left - 8, y: y(mark) + 4, "text-anchor": "end" }, label(mark)),
    ),
  );
  const small = timeTicks(geometry, 8).ticks.map((time) =>
    shape("line", { class: "tick", x1: x(time), x2: x(time), y1: bottom, y2: bottom + 4 }),
  );
  const { ticks, name } = timeTicks(geometry, 60);
  const days = ticks
    .filter((time) => x(time) > left + 12 && x(time) < width - 28)
    .map((time) => shape("text", { x: x(time), y: height - 6, class: "day" }, name(time)));
  return shape(
    "svg",
    { width, height, "aria-hidden": "true" },
    shape("rect", { class: "ahead", x: now, y: TOP, width: x(last) - now, height: bottom - TOP }),
    ...rows,
    ...small,
    ...days,
    band("outer", 95),
    band("inner", 80),
    shape("line", { class: "origin", x1: now, x2: now, y1: TOP, y2: bottom }),
    line("actual", actual.map((p) => [p.time, p.y])),
    line("median", end("y_hat")),
    cross,
  );
}

function* crosshair(point, { x, y, bottom }) {
  const at = x(point.time);
  yield shape("line", { x1: at, x2: at, y1: TOP, y2: bottom });
  const kind = isForecast(point) ? "median" : "actual";
  yield shape("circle", { class: kind, cx: at, cy: y(middle(point)), r: 4.5 });
}

/** Return about five round numbers from `low` or less to `high` or more. */
function niceTicks(low, high) {
  const rough = (high - low || 1) / 5;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((factor) => factor * power).find((one) => one >= rough);
  const from = Math.floor(low / step);
  const to = Math.max(from + 1, Math.ceil(high / step));
  return Array.from({ length: to - from + 1 }, (_, i) => (from + i) * step);
}

/** Return round times that are at least `gap` pixels apart, and how to name one. */
function timeTicks({ first, last, x }, gap) {
  const pixels = (x(last) - x(first)) / (last - first);
  const name = (options) => (time) => date(time, options);
  const dayAndMonth = { day: "numeric", month: "short" };
  for (const hours of [1, 3, 6, 12, 24, 48, 168, 336]) {
    const step = hours * HOUR;
    if (step * pixels < gap) continue;
    const ticks = [];
    const monday = -3 * DAY; // day 0, 1 January 1970, was a Thursday
    const start = Math.ceil((first - monday) / step) * step + monday;
    for (let time = start; time <= last; time += step) ticks.push(time);
    const clock = name({ hour: "2-digit", minute: "2-digit" });
    return { ticks, name: (time) => (time % DAY ? clock(time) : date(time, dayAndMonth)) };
  }
  const months = [1, 3, 6, 12, 24, 60, 120].find((n) => n * 30 * DAY * pixels >= gap) ?? 240;
  const start = new Date(first);
  const ticks = [];
  for (let month = Math.ceil(start.getUTCMonth() / months) * months; ; month += months) {
    const time = Date.UTC(start.getUTCFullYear(), month);
    if (time > last) break;
    if (time >= first) ticks.push(time);
  }
  return { ticks, name: name({ month: "short", year: "numeric" }) };
}

/** Return a time in words; times are shown as the API writes them, in UTC or without a zone. */
export function date(time, options) {
  return new Intl.DateTimeFormat("en-GB", { ...options, timeZone: "UTC" }).format(time);
}
