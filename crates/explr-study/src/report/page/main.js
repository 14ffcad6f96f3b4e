// The page: key figures, then the charts in order.

function figures(host) {
  const list = element("dl", { className: "figures" });
  const figure = (term, text, small) => {
    const value = element("dd", {}, text);
    if (small) value.append(" ", element("small", { textContent: small }));
    list.append(element("div", {}, element("dt", { textContent: term }), value));
  };
  const counts = STATES.map((state) => [state, trials.filter((trial) => trial.state === state).length]);
  const parts = counts.filter(([state, count]) => count && state !== "complete").map(([state, count]) => `${count} ${state}`);
  figure("Trials", String(trials.length));
  figure("Complete", String(counts[1][1]), parts.join(", "));
  if (best) figure(`Best ${study.objectives[0].label}`, format(best.values[0]), `trial ${best.number}`);
  if (several) figure("On the Pareto front", String(study.front.length));
  const times = trials.filter((trial) => trial.start !== null);
  if (times.length) {
    const [from] = extent(times.map((trial) => trial.start));
    const [, to] = extent(times.map((trial) => trial.end ?? trial.start));
    figure("Duration", duration(to - from));
  }
  figure("Direction", study.objectives.map((objective) => (objective.maximize ? "maximise" : "minimise")).join(", "));
  host.append(list);
  if (!best || !study.params.length) return;
  const params = study.params
    .map((param, place) => (best.params[place] === null ? undefined : element("code", { textContent: `${param.name} = ${shown(best, place)}` })))
    .filter(Boolean);
  host.append(element("div", { className: "best" }, element("span", { className: "note", textContent: "Best parameters" }), ...params));
}

/** For several objectives: which one the following charts show. */
function focusChooser() {
  const labels = study.objectives.map((objective) => objective.label);
  const pick = chooser(labels, focus, (place) => {
    focus = place;
    goodness = ranks();
    build();
  });
  section("By objective", { controls: [pick], note: "The charts below are about one objective at a time" });
}

function build() {
  const top = scrollY;
  redraws.clear();
  page.replaceChildren(header());
  figures(section("Overview"));
  if (several) {
    paretoChart();
    focusChooser();
  } else {
    historyChart();
  }
  importanceChart();
  parallelChart();
  slicesChart();
  contourChart();
  curvesChart();
  distributionChart();
  timelineChart();
  trialTable();
  redrawAll();
  scrollTo(0, top);
}

function header() {
  const count = study.params.length;
  const note = `Study of ${count} ${count === 1 ? "parameter" : "parameters"}`;
  return element("header", {}, element("h1", { textContent: document.title }), element("p", { className: "note", textContent: note }));
}

const page = document.getElementById("page");
const redrawAll = () => redraws.forEach((redraw) => redraw());
build();
let width = page.clientWidth;
new ResizeObserver(() => {
  if (page.clientWidth === width) return;
  width = page.clientWidth;
  redrawAll();
}).observe(page);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redrawAll);
