// Parses a history in CSV into rows as the API takes them, and formats them again.

const NUMBER = /^[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?$/i;
const TIME = /^\d{4}[-/]?\d\d[-/]?\d\d/;

/** Return the rows of a CSV whose header names ds and y; throw an Error that names the line. */
export function parse(text) {
  const lines = text.replace(/^\ufeff/, "").split(/\r\n|\r|\n/);
  const numbered = lines.map((line, index) => [line, index + 1]).filter(([line]) => line.trim());
  const [[first, firstNumber], ...rest] = numbered;
  const mark = /[\t;,]/.exec(first)?.[0] ?? ",";
  const header = cells(first, mark, firstNumber);
  for (const name of ["ds", "y"])
    if (!header.includes(name))
      throw new Error(`Line ${firstNumber} must be a header with ds and y: ${name} is missing.`);
  if (!rest.length) throw new Error(`Nothing follows the header in line ${firstNumber}.`);
  return rest.map(([line, number]) => {
    const found = cells(line, mark, number);
    const [has, names] = [found.length, header.length];
    if (has !== names)
      throw new Error(`Line ${number} has ${has} values; the header names ${names}.`);
    return Object.fromEntries(header.map((name, i) => [name, value(name, found[i], mark, number)]));
  });
}

/** Return rows as a CSV with a header. */
export function format(rows) {
  const names = Object.keys(rows[0]);
  const lines = rows.map((row) => names.map((name) => quoted(plain(row[name]))));
  return [names.map(quoted), ...lines].join("\n");
}

function quoted(value) {
  return /[",;\t]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value;
}

function value(name, cell, mark, number) {
  if (name === "unique_id") return cell.normalize().replace(/\s+/g, " "); // as the API names it
  if (name === "ds") {
    if (TIME.test(cell)) return cell;
    throw new Error(`Line ${number}: ds is “${cell}”, not a time such as 2019-08-31T23:00.`);
  }
  // If commas do not separate the values, they may be decimal commas.
  const point = mark === "," ? cell : cell.replace(",", ".");
  if (NUMBER.test(point)) return Number(point);
  if (name === "y") throw new Error(`Line ${number}: y is “${cell}”, not a number.`);
  return cell; // the API knows whether the model needs a number here
}

/** Return the cells of a line; inside a quoted cell, two quotes mean one. */
function cells(line, mark, number) {
  const found = [""];
  let isQuoted = false;
  for (let i = 0; i < line.length; i++) {
    if (isQuoted && line[i] === '"' && line[i + 1] === '"') found[found.length - 1] += line[i++];
    else if (line[i] === '"') isQuoted = !isQuoted;
    else if (line[i] === mark && !isQuoted) found.push("");
    else found[found.length - 1] += line[i];
  }
  if (isQuoted) throw new Error(`Line ${number}: a quote is opened but never closed.`);
  return found.map((cell) => cell.trim());
}

/** Return a number in few digits: as a 32-bit float, 17.8 is 17.799999237060547. */
function plain(value) {
  if (typeof value !== "number" || value !== Math.fround(value)) return value;
  const short = Number(value.toPrecision(7));
  return Math.fround(short) === value ? short : value;
}
