// What the parameters do: importances, parallel coordinates, slices, contour.

function importanceChart() {
  if (!study.params.length) return;
  const host = section("Parameter importances", {
    note: several ? `For ${study.objectives[focus].label}` : "Share of the variance that each explains alone (fANOVA)",
  });
  if (!study.importances[focus].length) return nothing(host, "It takes two complete trials that differ.");
  const most = study.importances[focus][0][1];
  const rows = study.importances[focus].flatMap(([name, share]) => {
    const bar = element("div", { className: "bar" });
    bar.style.width = `${(100 * share) / most}%`;
    return [
      element("div", { className: "name", textContent: name }),
      bar,
      element("div", { className: "share", textContent: share < 0.001 ? "< 0.1 %" : `${(100 * share).toFixed(1)} %` }),
    ];
  });
  host.append(element("div", { className: "bars" }, ...rows));
}

/** Parameters, the most important first. */
function parameterOrder() {
  const rank = new Map(study.importances[focus].map(([name], place) => [name, place]));
  const places = study.params.map((_, place) => place);
  return places.sort((a, b) => (rank.get(study.params[a].name) ?? Infinity) - (rank.get(study.params[b].name) ?? Infinity) || a - b);
}

function parallelChart() {
  if (!study.params.length || !complete.length) return;
  const order = parameterOrder().slice(0, 12);
  const note = study.params.length > order.length ? `The ${order.length} most important parameters` : undefined;
  const reset = element("button", { textContent: "Clear selection", disabled: true });
  const host = section("Parallel coordinates", { note, controls: ["drag along an axis to select", reset] });
  const ranked = [...complete].sort((a, b) => goodness.get(a.number) - goodness.get(b.number));
  const lines = ranked.length > 1500 ? [...thinned(ranked.slice(0, -200), 1300), ...ranked.slice(-200)] : ranked;
  const columns = [
    ...order.map((place) => ({ name: study.params[place].name, scale: paramScale(place), of: (trial) => trial.params[place] })),
    ...study.objectives.map((objective, place) => {
      const [low, high] = robust(complete.map((trial) => trial.values[place]), place);
      return { name: objective.label, scale: scale(padded([low, high])), of: (trial) => trial.values[place] };
    }),
  ];
  const scroll = element("div", { className: "scroll" });
  host.append(scroll);
  const brushes = new Map();
  let layout;
  const chart = canvas(scroll, 380, "Parameters and objective of each trial", (context, width, height) => {
    const [top, bottom, none] = [46, height - 34, height - 10];
    const gap = (width - 90) / Math.max(columns.length - 1, 1);
    const at = (place) => 36 + place * gap;
    const down = (column, value) =>
      isNumber(value) ? bottom - Math.min(Math.max(column.scale.unit(value), 0), 1) * (bottom - top) : none;
    layout = { at, top, bottom, gap };
    const selected = (trial) =>
      [...brushes].every(([place, [from, to]]) => {
        const y = down(columns[place], columns[place].of(trial));
        return y >= from && y <= to;
      });
    const paint = scaleColour();
    const paths = lines.map((trial) => ({
      trial,
      on: selected(trial),
      points: columns.map((column, place) => [at(place), down(column, column.of(trial))]),
    }));
    context.lineWidth = 1.2;
    for (const on of [false, true]) {
      for (const path of paths) {
        if (path.on !== on) continue;
        const good = goodness.get(path.trial.number);
        context.globalAlpha = on ? (lines.length > 150 ? 0.06 + 0.7 * good ** 6 : 0.8) : 0.06;
        context.strokeStyle = on ? paint(good) : colour("soft");
        line(context, path.points);
      }
    }
    context.globalAlpha = 1;
    columns.forEach((column, place) => parallelAxis(context, column, at(place), layout, place, brushes.get(place), columns.length));
    if (paths.some((path) => path.points.some(([, y]) => y === none))) {
      context.fillStyle = colour("soft");
      context.textAlign = "left";
      context.fillText("none", 0, none);
    }
    reset.disabled = brushes.size === 0;
    return pathHits(paths.filter((path) => path.on));
  });
  chart.element.style.minWidth = `${columns.length * 86}px`;
  reset.addEventListener("click", () => {
    brushes.clear();
    chart.redraw();
  });
  brushing(chart, brushes, () => layout, columns.length);
  legend(host, [["worst", "scale0", "line"], ["", "scale1", "line"], ["", "scale2", "line"], ["best", "scale3", "line"]]);
}

function parallelAxis(context, column, x, { top, bottom, gap }, place, brush, count) {
  context.strokeStyle = colour("soft");
  context.lineWidth = 1;
  line(context, [[x, top], [x, bottom]]);
  context.fillStyle = colour("ink");
  context.textAlign = place === 0 ? "left" : place === count - 1 ? "right" : "center";
  context.textBaseline = "middle";
  const shift = place === 0 ? -34 : place === count - 1 ? 48 : 0;
  context.fillText(clipped(context, column.name, gap - 10), x + shift, 14 + (place % 2 && gap < 100 ? 14 : 0));
  context.textAlign = "left";
  for (const tick of column.scale.ticks(6)) {
    const y = bottom - column.scale.unit(tick) * (bottom - top);
    const text = clipped(context, column.scale.text(tick), Math.min(gap - 10, place === count - 1 ? 46 : 90));
    line(context, [[x - 3, y], [x + 3, y]]);
    context.fillStyle = colour("card");
    context.globalAlpha = 0.8;
    context.fillRect(x + 4, y - 7, context.measureText(text).width + 4, 14);
    context.globalAlpha = 1;
    context.fillStyle = colour("ink");
    context.fillText(text, x + 6, y);
  }
  if (!brush) return;
  context.globalAlpha = 0.25;
  context.fillStyle = colour("accent");
  context.fillRect(x - 8, brush[0], 16, brush[1] - brush[0]);
  context.globalAlpha = 1;
  context.strokeStyle = colour("accent");
  context.strokeRect(x - 8, brush[0], 16, brush[1] - brush[0]);
}

/** Dragging along an axis selects; a click there clears it. */
function brushing(chart, brushes, layout, count) {
  let drag;
  const place = (event) => {
    const box = chart.element.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };
  chart.element.addEventListener("pointerdown", (event) => {
    const [x, y] = place(event);
    if (!layout()) return;
    const { at, gap } = layout();
    const axis = Math.min(Math.max(Math.round((x - at(0)) / gap), 0), count - 1) || 0;
    if (Math.abs(at(axis) - x) > 16) return;
    drag = { axis, from: y };
    chart.element.setPointerCapture(event.pointerId);
  });
  chart.element.addEventListener("pointermove", (event) => {
    if (!drag) return;
    tip.hidden = true;
    const y = place(event)[1];
    brushes.set(drag.axis, [Math.min(drag.from, y), Math.max(drag.from, y)]);
    chart.redraw();
  });
  const end = (event) => {
    if (!drag) return;
    if (Math.abs(place(event)[1] - drag.from) < 4) brushes.delete(drag.axis);
    drag = undefined;
    chart.redraw();
  };
  chart.element.addEventListener("pointerup", end);
  chart.element.addEventListener("pointercancel", end);
}

/** Hits of polylines whose points are at the same columns. */
function pathHits(paths) {
  let found;
  return {
    hit(x, y) {
      found = undefined;
      let least = 7;
      for (const path of paths) {
        const next = path.points.findIndex(([px]) => px >= x);
        if (next < 1) continue;
        const [[ax, ay], [bx, by]] = [path.points[next - 1], path.points[next]];
        const distance = Math.abs(ay + ((x - ax) / (bx - ax)) * (by - ay) - y);
        if (distance < least) [found, least] = [path, distance];
      }
      return found && describe(found.trial);
    },
    over(context) {
      context.strokeStyle = colour("pruned");
      context.lineWidth = 2.5;
      line(context, found.points);
    },
  };
}

function slicesChart() {
  if (!study.params.length || !complete.length) return;
  const host = section("Slices", { note: "Each parameter against the objective; later trials are darker" });
  const grid = element("div", { className: "slices" });
  host.append(grid);
  const values = complete.map((trial) => trial.values[focus]);
  const log = wantsLog(values);
  const shown = thinned(complete, 4000);
  for (const place of parameterOrder()) {
    const { name } = study.params[place];
    const cell = element("div");
    grid.append(cell);
    canvas(cell, 210, `Objective by ${name}`, (context, width, height) => {
      const frame = axes(context, width, height, paramScale(place), objectiveScale(values, log), name, study.objectives[focus].label);
      const paint = scaleColour();
      const points = shown
        .filter((trial) => isNumber(trial.params[place]))
        .map((trial) => ({
          x: frame.px(trial.params[place]) + spreadOut(place, trial.number),
          y: within(frame, trial.values[focus]),
          trial,
          text: () => describe(trial),
        }));
      for (const point of points) {
        context.fillStyle = paint(0.25 + (0.75 * point.trial.number) / Math.max(trials.length - 1, 1));
        dot(context, point.x, point.y, shown.length > 1000 ? 1.5 : 2.6);
      }
      return pointHits(points);
    });
  }
}

/** Categories have one place each: their points stand beside each other. */
function spreadOut(place, number) {
  return study.params[place].choices ? (((number * 7) % 11) - 5) * 1.6 : 0;
}

function contourChart() {
  if (study.params.length < 2 || complete.length < 3) return;
  const chosen = parameterOrder().slice(0, 2);
  const names = study.params.map((param) => param.name);
  const pick = (axis) => chooser(names, chosen[axis], (place) => { chosen[axis] = place; chart.redraw(); });
  const host = section("Contour", { note: `Interpolated ${study.objectives[focus].label}`, controls: [pick(0), "by", pick(1)] });
  const chart = canvas(host, 400, "Objective by two parameters", (context, width, height) => {
    const [a, b] = chosen;
    const both = complete.filter((trial) => isNumber(trial.params[a]) && isNumber(trial.params[b]));
    const [x, y] = [paramScale(a), paramScale(b)];
    const frame = axes(context, width, height, x, y, names[a], names[b]);
    const known = thinned(both, 800).map((trial) => [x.unit(trial.params[a]), y.unit(trial.params[b]), goodness.get(trial.number)]);
    const paint = scaleColour();
    if (!known.length) context.fillText("No trial has both.", (frame.left + frame.right) / 2, (frame.top + frame.bottom) / 2);
    else heat(context, frame, chosen.map((place) => study.params[place].choices?.length), known, paint);
    const points = thinned(both, 500).map((trial) => ({
      x: frame.px(trial.params[a]) + spreadOut(a, trial.number),
      y: frame.py(trial.params[b]) + spreadOut(b, trial.number),
      text: () => describe(trial),
    }));
    context.fillStyle = colour("card");
    context.strokeStyle = colour("ink");
    context.lineWidth = 0.8;
    for (const point of points) {
      dot(context, point.x, point.y, points.length > 200 ? 1.8 : 2.6);
      context.stroke();
    }
    return pointHits(points);
  });
  legend(host, [["worst", "scale0"], ["", "scale1"], ["", "scale2"], ["best, by rank", "scale3"]]);
}

/**
 * A map of the mean of near trials, each weighing by its inverse distance cubed
 * (Shepard 1968). Categories are all equally far from each other.
 */
function heat(context, frame, categories, known, paint) {
  const [columns, rows] = categories.map((count) => (count ? count * Math.ceil(56 / count) : 56));
  // One pixel a cell; enlarging it makes it smooth.
  const small = element("canvas", { width: columns, height: rows });
  const cells = small.getContext("2d");
  const [dx, dy] = categories.map((count) =>
    count ? (a, b) => (Math.floor(a * count) === Math.floor(b * count) ? 0 : 0.7) : (a, b) => a - b,
  );
  for (let column = 0; column < columns; column += 1) {
    for (let row = 0; row < rows; row += 1) {
      const [u, v] = [(column + 0.5) / columns, (row + 0.5) / rows];
      let [sum, weights] = [0, 0];
      for (const [x, y, good] of known) {
        const weight = 1 / ((dx(x, u) ** 2 + dy(y, v) ** 2) ** 1.5 + 2e-5);
        sum += weight * good;
        weights += weight;
      }
      cells.fillStyle = paint(sum / weights);
      cells.fillRect(column, rows - 1 - row, 1, 1);
    }
  }
  context.drawImage(small, frame.left, frame.top, frame.right - frame.left, frame.bottom - frame.top);
}
