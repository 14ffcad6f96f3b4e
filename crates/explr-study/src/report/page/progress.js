// How the study went: history, Pareto front, curves, distribution, timeline.

/** Whether an objective is best seen on a logarithmic scale. */
function wantsLog(values) {
  const [low, high] = extent(values);
  return low > 0 && high / low > 1000;
}

const positive = (values) => values.length > 0 && values.every((value) => value > 0);

function objectiveScale(values, log, objective = focus) {
  const usable = log ? values.filter((value) => value > 0) : values;
  return scale(padded(log ? extent(usable) : robust(usable, objective), log));
}

/** Pixels of a value; one beyond the edge stays at the edge. */
const within = (frame, value) => Math.min(Math.max(frame.py(value), frame.top), frame.bottom);

function historyChart() {
  const ended = trials.filter((trial) => trial.state === "complete" || trial.state === "pruned");
  const plotted = ended.filter((trial) => isNumber(trial.values[focus]));
  const values = plotted.map((trial) => trial.values[focus]);
  let log = wantsLog(values);
  const controls = positive(values)
    ? [toggle("logarithmic", log, (on) => { log = on; chart.redraw(); })]
    : [];
  const host = section("Optimisation history", { controls });
  if (!plotted.length) return nothing(host, "No trial has a value yet.");
  const chart = canvas(host, 320, "Value of each trial and the best so far", (context, width, height) => {
    const x = scale({ ...padded([0, Math.max(trials.length - 1, 1)]), int: true });
    const y = objectiveScale(values, log);
    const frame = axes(context, width, height, x, y, "trial", study.objectives[focus].label);
    const radius = plotted.length > 1500 ? 1.6 : 3.2;
    const points = plotted.map((trial) => ({
      x: frame.px(trial.number),
      y: within(frame, trial.values[focus]),
      trial,
      text: () => describe(trial),
    }));
    for (const state of ["pruned", "complete"]) {
      context.fillStyle = colour(state);
      context.globalAlpha = plotted.length > 1500 ? 0.5 : 0.8;
      for (const point of points) if (point.trial.state === state) dot(context, point.x, point.y, radius);
    }
    context.globalAlpha = 1;
    context.strokeStyle = colour("best");
    context.lineWidth = 2;
    const steps = [];
    let least;
    for (const trial of complete) {
      if (least !== undefined && loss(trial.values[focus]) >= loss(least)) continue;
      if (least !== undefined) steps.push([frame.px(trial.number), within(frame, least)]);
      least = trial.values[focus];
      steps.push([frame.px(trial.number), within(frame, least)]);
    }
    if (steps.length) steps.push([frame.px(trials.length - 1), within(frame, least)]);
    line(context, steps);
    return pointHits(points);
  });
  const pruned = plotted.some((trial) => trial.state === "pruned");
  legend(host, [
    ["complete", "complete"],
    ...(pruned ? [["pruned, at its last value", "pruned"]] : []),
    ["best so far", "best", "line"],
  ]);
}

function paretoChart() {
  const chosen = [0, 1];
  const labels = study.objectives.map((objective) => objective.label);
  const pick = (axis) => chooser(labels, chosen[axis], (place) => { chosen[axis] = place; chart.redraw(); });
  const controls = labels.length > 2 ? [pick(0), pick(1)] : [];
  const host = section("Pareto front", { controls, note: "Trials that no other beats in every objective" });
  if (!complete.length) return nothing(host, "No trial is complete yet.");
  const front = new Set(study.front);
  const chart = canvas(host, 400, "Trials by two objectives", (context, width, height) => {
    const [a, b] = chosen;
    const [x, y] = chosen.map((place) => scale(padded(extent(complete.map((trial) => trial.values[place])))));
    const frame = axes(context, width, height, x, y, labels[a], labels[b]);
    const points = complete.map((trial) => ({
      x: frame.px(trial.values[a]),
      y: frame.py(trial.values[b]),
      trial,
      text: () => describe(trial),
    }));
    for (const isFront of [false, true]) {
      context.fillStyle = colour(isFront ? "failed" : "waiting");
      context.globalAlpha = isFront ? 1 : 0.6;
      for (const point of points) if (front.has(point.trial.number) === isFront) dot(context, point.x, point.y, isFront ? 4.5 : 3);
    }
    context.globalAlpha = 1;
    return pointHits(points);
  });
  legend(host, [[`on the front (${front.size})`, "failed"], ["beaten by another", "waiting"]]);
}

function curvesChart() {
  if (!study.curves.length) return;
  const values = study.curves.flatMap((curve) => curve.values.filter(isNumber));
  let log = wantsLog(values);
  const controls = positive(values)
    ? [toggle("logarithmic", log, (on) => { log = on; chart.redraw(); })]
    : [];
  const some = study.curves.length < study.reporting ? `${study.curves.length} of ${study.reporting} trials` : undefined;
  const host = section("Intermediate values", { controls, note: some });
  const steps = extent(study.curves.flatMap((curve) => curve.steps));
  const chart = canvas(host, 320, "Intermediate values of each trial", (context, width, height) => {
    const y = objectiveScale(values, log);
    const x = scale({ low: steps[0], high: steps[1] > steps[0] ? steps[1] : steps[0] + 1, int: true });
    const frame = axes(context, width, height, x, y, "step", study.objectives[focus].label);
    const paths = study.curves.map((curve) => ({
      trial: trials[curve.trial],
      parts: unbroken(curve, frame, log),
    }));
    const points = [];
    const order = ["pruned", "failed", "waiting", "running", "complete"];
    paths.sort((a, b) => order.indexOf(a.trial.state) - order.indexOf(b.trial.state));
    for (const path of paths) {
      const { state } = path.trial;
      context.strokeStyle = context.fillStyle = colour(state);
      context.lineWidth = 1.3;
      context.globalAlpha = paths.length > 60 ? 0.45 : 0.75;
      for (const part of path.parts) {
        if (part.length === 1) dot(context, ...part[0], 2);
        else line(context, part);
      }
      context.globalAlpha = 1;
      const end = path.parts.at(-1)?.at(-1);
      if (end && state === "pruned") cross(context, ...end);
      const text = () => describe(path.trial);
      for (const [px, py] of path.parts.flat()) points.push({ x: px, y: py, text });
    }
    const shown = paths.find((path) => path.trial === best);
    context.strokeStyle = colour("best");
    context.lineWidth = 2.2;
    for (const part of shown?.parts ?? []) line(context, part);
    return pointHits(points);
  });
  const present = new Set(study.curves.map((curve) => trials[curve.trial].state));
  const entries = ["complete", "pruned", "failed", "running"].filter((state) => present.has(state));
  legend(host, [
    ...entries.map((state) => [state === "pruned" ? "pruned, with a cross at the end" : state, state, "line"]),
    ...(best ? [["best trial", "best", "line"]] : []),
  ]);
}

/** A curve's pixels, cut where a value is not a number. */
function unbroken(curve, frame, log) {
  const parts = [[]];
  curve.values.forEach((value, place) => {
    if (isNumber(value) && !(log && value <= 0)) parts.at(-1).push([frame.px(curve.steps[place]), within(frame, value)]);
    else if (parts.at(-1).length) parts.push([]);
  });
  return parts.filter((part) => part.length);
}

function cross(context, x, y) {
  context.lineWidth = 1.6;
  line(context, [[x - 3.5, y - 3.5], [x + 3.5, y + 3.5]]);
  line(context, [[x - 3.5, y + 3.5], [x + 3.5, y - 3.5]]);
}

function distributionChart() {
  if (!complete.length) return;
  const sorted = complete.map((trial) => trial.values[focus]).sort((a, b) => loss(a) - loss(b));
  const log = wantsLog(sorted);
  const note = study.objectives[focus].maximize ? "Share of complete trials at or above a value" : "Share of complete trials at or below a value";
  const host = section("Empirical distribution", { half: true, note });
  canvas(host, 280, "Empirical distribution of the objective", (context, width, height) => {
    const x = objectiveScale(sorted, log);
    const y = scale({ low: 0, high: 1, text: (share) => `${Math.round(share * 100)} %` });
    const frame = axes(context, width, height, x, y, study.objectives[focus].label);
    const clamp = (value) => Math.min(Math.max(frame.px(value), frame.left), frame.right);
    const points = [];
    sorted.forEach((value, place) => {
      points.push([clamp(value), frame.py(place / sorted.length)], [clamp(value), frame.py((place + 1) / sorted.length)]);
    });
    const far = study.objectives[focus].maximize ? frame.left : frame.right;
    points.push([far, frame.py(1)]);
    context.strokeStyle = colour("complete");
    context.lineWidth = 2;
    line(context, points);
    return pointHits(
      sorted.map((value, place) => ({
        x: clamp(value),
        y: frame.py((place + 1) / sorted.length),
        text: () => `${format(value)}\nas good or better: ${format((100 * (place + 1)) / sorted.length)} %`,
      })),
      40,
    );
  });
}

function timelineChart() {
  const timed = trials.filter((trial) => trial.start !== null);
  if (!timed.length) return;
  const [begin] = extent(timed.map((trial) => trial.start));
  const [, end] = extent(timed.map((trial) => trial.end ?? trial.start));
  const host = section("Timeline", { half: complete.length > 0 });
  canvas(host, 280, "When each trial ran", (context, width, height) => {
    const span = Math.max(end - begin, 1);
    const x = scale({ low: 0, high: span, text: duration });
    const y = scale({ ...padded([0, Math.max(trials.length - 1, 1)]), int: true });
    const frame = axes(context, width, height, x, y, "time since the first trial began", "trial");
    const thick = Math.min(Math.max(((frame.bottom - frame.top) / trials.length) * 0.8, 1), 12);
    const points = timed.map((trial) => {
      const from = frame.px(trial.start - begin);
      const to = Math.max(frame.px((trial.end ?? end) - begin), from + 1.5);
      const at = frame.py(trial.number);
      context.fillStyle = colour(trial.state);
      context.fillRect(from, at - thick / 2, to - from, thick);
      const took = trial.end === null ? "not ended" : `took ${duration(trial.end - trial.start)}`;
      return { x: (from + to) / 2, y: at, from, to, text: () => `Trial ${trial.number}, ${trial.state}\n${took}` };
    });
    return barHits(points);
  });
  const present = new Set(timed.map((trial) => trial.state));
  legend(host, ["complete", "pruned", "failed", "running"].filter((state) => present.has(state)).map((state) => [state, state]));
}

/** Hits of horizontal bars. */
function barHits(bars) {
  return {
    hit(x, y) {
      const near = bars.filter((bar) => Math.abs(bar.y - y) < 7 && x > bar.from - 8 && x < bar.to + 8);
      near.sort((a, b) => Math.abs(a.y - y) - Math.abs(b.y - y));
      return near[0]?.text();
    },
  };
}

function nothing(host, text) {
  host.append(element("p", { className: "empty", textContent: text }));
}
