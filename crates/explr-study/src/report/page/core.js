// The study, and what all charts share: elements, numbers, colours.

const study = JSON.parse(document.getElementById("data").textContent);
const STATES = ["running", "complete", "pruned", "failed", "waiting"];
const isNumber = (value) => typeof value === "number";

/** Trials as objects; the page holds them by column. */
const trials = study.trials.state.map((state, number) => ({
  number,
  state: STATES[state],
  values: study.trials.values.map((column) => column[number]),
  params: study.trials.params.map((column) => column[number]),
  start: study.trials.start[number],
  end: study.trials.end[number],
}));
const complete = trials.filter((trial) => trial.state === "complete" && trial.values.every(isNumber));
const several = study.objectives.length > 1;
/** The objective that charts of a single one show. */
let focus = 0;

/** A value of an objective turned so that less is better. */
const loss = (value, objective = focus) => (study.objectives[objective].maximize ? -value : value);
const best = several
  ? undefined
  : complete.reduce((best, trial) => (!best || loss(trial.values[focus]) < loss(best.values[focus]) ? trial : best), undefined);

/** An element with properties and children; texts are never parsed as HTML. */
function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children.filter((child) => child !== undefined));
  return made;
}

/** A number as people read it: four significant digits. */
function format(value) {
  if (value === null || value === undefined) return "–";
  if (!isNumber(value)) return String(value);
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1e6 || size < 1e-4) return value.toExponential(3).replace(/\.?0+e/, "e").replace("e+", "e");
  if (Number.isInteger(value)) return String(value);
  return String(Number(value.toPrecision(4)));
}

/** Milliseconds as people read them. */
function duration(milliseconds) {
  const seconds = milliseconds / 1000;
  if (seconds === 0) return "0";
  if (seconds < 1) return `${format(Math.round(milliseconds * 10) / 10)} ms`;
  if (seconds < 90) return `${format(Math.round(seconds * 10) / 10)} s`;
  const minutes = seconds / 60;
  if (minutes < 90) return `${Math.round(minutes * 10) / 10} min`;
  const hours = minutes / 60;
  return hours < 48 ? `${Math.round(hours * 10) / 10} h` : `${Math.round(hours / 2.4) / 10} d`;
}

/** A trial's value of a parameter as text. */
function shown(trial, place) {
  const value = trial.params[place];
  const choices = study.params[place].choices;
  return value === null || !choices ? format(value) : choices[value];
}

/** What a tooltip says about a trial. */
function describe(trial) {
  const values = trial.values
    .map((value, place) => (value === null ? undefined : `${study.objectives[place].label}: ${format(value)}`))
    .filter(Boolean);
  const params = study.params
    .map((param, place) => (trial.params[place] === null ? undefined : `${param.name} = ${shown(trial, place)}`))
    .filter(Boolean);
  const more = params.length > 12 ? [`and ${params.length - 12} more`] : [];
  return [`Trial ${trial.number}, ${trial.state}`, ...values, ...params.slice(0, 12), ...more].join("\n");
}

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

/** The colour at `share` of [0, 1] of the scale from bad to good. */
function scaleColour() {
  const stops = [0, 1, 2, 3].map((stop) => {
    const hex = parseInt(colour(`scale${stop}`).slice(1), 16);
    return [hex >> 16, (hex >> 8) & 255, hex & 255];
  });
  return (share) => {
    const place = Math.min(Math.max(share, 0), 1) * 3;
    const stop = Math.min(Math.floor(place), 2);
    const mix = stops[stop].map((from, channel) => Math.round(from + (place - stop) * (stops[stop + 1][channel] - from)));
    return `rgb(${mix})`;
  };
}

/** How good each complete trial is: 0 the worst to 1 the best, by rank, so that outliers don't matter. */
function ranks() {
  const sorted = [...complete].sort((a, b) => loss(b.values[focus]) - loss(a.values[focus]));
  return new Map(sorted.map((trial, rank) => [trial.number, sorted.length > 1 ? rank / (sorted.length - 1) : 1]));
}
let goodness = ranks();

/** At most about `most` of many items, evenly spread. */
function thinned(items, most) {
  const stride = Math.ceil(items.length / most);
  return stride > 1 ? items.filter((_, place) => place % stride === 0 || place === items.length - 1) : items;
}

/** Smallest and greatest; a study may have more values than a call has arguments. */
function extent(values) {
  let [low, high] = [Infinity, -Infinity];
  for (const value of values) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return [low, high];
}

/** A range that shows nearly all values: far outliers on the bad side are left beyond its edge. */
function robust(values, objective = focus) {
  const sorted = values.filter(isNumber).sort((a, b) => a - b);
  if (!sorted.length) return [0, 1];
  const at = (share) => sorted[Math.round(share * (sorted.length - 1))];
  const [q1, q3] = [at(0.25), at(0.75)];
  const reach = 4 * (q3 - q1);
  let [low, high] = [sorted[0], sorted.at(-1)];
  if (reach > 0 && study.objectives[objective].maximize) low = Math.max(low, q1 - reach);
  else if (reach > 0) high = Math.min(high, q3 + reach);
  return [low, high];
}
