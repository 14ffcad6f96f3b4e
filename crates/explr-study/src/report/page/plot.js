// Canvases with axes, hover and redrawing.

const redraws = new Set();
const FONT = "12px system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif";
const tip = document.getElementById("tip");

/** A section of the page; gives the element that its content goes into. */
function section(title, { note, half, controls = [] } = {}) {
  const made = element(
    "section",
    { className: half ? "half" : "" },
    element(
      "div",
      { className: "head" },
      element("h2", { textContent: title }),
      note ? element("p", { className: "note", textContent: note }) : undefined,
      controls.length ? element("div", { className: "controls" }, ...controls) : undefined,
    ),
  );
  document.getElementById("page").append(made);
  return made;
}

function legend(host, entries) {
  const items = entries.map(([text, name, kind]) => {
    const mark = element("i", { className: kind ?? "" });
    mark.style.background = `var(--${name})`;
    return element("span", {}, mark, text);
  });
  host.append(element("div", { className: "legend" }, ...items));
}

/** A tick box that redraws. */
function toggle(text, checked, change) {
  const input = element("input", { type: "checkbox", checked });
  input.addEventListener("change", () => change(input.checked));
  return element("label", {}, input, ` ${text}`);
}

function chooser(texts, chosen, change) {
  const made = element("select", {}, ...texts.map((text, value) => element("option", { value, textContent: text })));
  made.value = chosen;
  made.addEventListener("change", () => change(Number(made.value)));
  return made;
}

function showTip(text, event) {
  tip.textContent = text;
  tip.hidden = false;
  const { width, height } = tip.getBoundingClientRect();
  const left = event.clientX + 14 + width > innerWidth ? event.clientX - width - 14 : event.clientX + 14;
  tip.style.left = `${Math.max(4, left)}px`;
  tip.style.top = `${Math.min(Math.max(4, event.clientY + 14), Math.max(4, innerHeight - height - 4))}px`;
}

/**
 * A canvas that `paint(context, width, height)` draws. What that returns may
 * have `hit(x, y)`, which gives a text for the place, and `over(context, x, y)`,
 * which draws a mark over it.
 */
function canvas(host, height, label, paint) {
  const made = element("canvas", { role: "img" });
  made.setAttribute("aria-label", label);
  made.style.height = `${height}px`;
  host.append(made);
  const still = document.createElement("canvas");
  let drawn = {};
  const blit = () => {
    const context = made.getContext("2d");
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, made.width, made.height);
    if (still.width && still.height) context.drawImage(still, 0, 0);
    context.setTransform(devicePixelRatio, 0, 0, devicePixelRatio, 0, 0);
    return context;
  };
  const redraw = () => {
    const width = made.clientWidth;
    for (const each of [made, still]) {
      each.width = Math.round(width * devicePixelRatio);
      each.height = Math.round(height * devicePixelRatio);
    }
    if (!width) return;
    const context = still.getContext("2d");
    context.setTransform(devicePixelRatio, 0, 0, devicePixelRatio, 0, 0);
    context.font = FONT;
    drawn = paint(context, width, height) ?? {};
    blit();
  };
  const hover = (event) => {
    // A mouse with a button down drags; a finger is always down.
    if (!drawn.hit || (event.buttons && event.pointerType === "mouse")) return;
    const box = made.getBoundingClientRect();
    const [x, y] = [event.clientX - box.left, event.clientY - box.top];
    const text = drawn.hit(x, y);
    const context = blit();
    if (text === undefined) {
      tip.hidden = true;
      return;
    }
    drawn.over?.(context);
    showTip(text, event);
  };
  made.addEventListener("pointermove", hover);
  made.addEventListener("pointerdown", hover);
  made.addEventListener("pointerleave", () => {
    tip.hidden = true;
    blit();
  });
  redraws.add(redraw);
  return { element: made, redraw };
}

/** Round numbers within [low, high], about `count` of them. */
function linearTicks(low, high, count) {
  if (!(high > low)) return [low];
  const rough = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((factor) => power * factor >= rough * 0.999);
  const first = Math.ceil(low / step - 1e-9);
  const ticks = [];
  for (let place = first; place * step <= high + step * 1e-9; place += 1) ticks.push(Number((place * step).toPrecision(12)));
  return ticks;
}

function logTicks(low, high, count) {
  const [from, to] = [Math.log10(low), Math.log10(high)];
  if (to - from < 1) return linearTicks(low, high, count).filter((tick) => tick > 0);
  const stride = Math.max(1, Math.ceil((to - from) / count));
  const ticks = [];
  for (let power = Math.ceil(from - 1e-9); power <= to + 1e-9; power += stride) ticks.push(Number(`1e${power}`));
  return ticks;
}

/**
 * A scale from values to [0, 1]. `choices` makes it one of categories,
 * `log` logarithmic, `int` whole numbers.
 */
function scale({ low, high, log, int, choices, text }) {
  if (choices) {
    return {
      unit: (value) => (value + 0.5) / choices.length,
      ticks: (count) => thinned(choices.map((_, place) => place), Math.max(count, 2)),
      text: (value) => (choices[value].length > 16 ? `${choices[value].slice(0, 15)}…` : choices[value]),
    };
  }
  if (log && low > 0) {
    const [from, to] = [Math.log(low), Math.log(high)];
    return {
      unit: (value) => (to > from ? (Math.log(value) - from) / (to - from) : 0.5),
      ticks: (count) => logTicks(low, high, count),
      text: text ?? format,
    };
  }
  return {
    unit: (value) => (high > low ? (value - low) / (high - low) : 0.5),
    ticks: (count) => linearTicks(low, high, count).filter((tick) => !int || Number.isInteger(tick)),
    text: text ?? format,
  };
}

/** A bit of room around the values. */
function padded([low, high], log) {
  if (log && low > 0) {
    const room = Math.max((high / low) ** 0.04, 1.02);
    return { low: low / room, high: high * room, log };
  }
  const room = (high - low) * 0.05 || Math.abs(low) * 0.1 || 1;
  return { low: low - room, high: high + room };
}

/** The scale of a parameter, with a bit of room. */
function paramScale(place) {
  const param = study.params[place];
  if (param.choices) return scale(param);
  const [low, high] = extent(trials.map((trial) => trial.params[place]).filter(isNumber));
  return scale({ ...padded([Math.min(low, param.low), Math.max(high, param.high)], param.log), int: param.int });
}

/** Draws the axes; gives functions from values to pixels, and the frame. */
function axes(context, width, height, x, y, xLabel, yLabel) {
  const bottom = height - (xLabel ? 36 : 22);
  const top = yLabel ? 22 : 8;
  const yTicks = y.ticks(Math.max(2, Math.floor((bottom - top) / 36)));
  const left = Math.min(width * 0.4, 10 + Math.max(...yTicks.map((tick) => context.measureText(y.text(tick)).width), 8));
  const right = width - 12;
  const px = (value) => left + x.unit(value) * (right - left);
  const py = (value) => bottom - y.unit(value) * (bottom - top);
  context.strokeStyle = colour("line");
  context.fillStyle = colour("soft");
  context.lineWidth = 1;
  context.textBaseline = "middle";
  context.textAlign = "right";
  for (const tick of yTicks) {
    const at = Math.round(py(tick)) + 0.5;
    line(context, [[left, at], [right, at]]);
    context.fillText(y.text(tick), left - 7, at);
  }
  context.textAlign = "center";
  context.textBaseline = "top";
  let free = -Infinity;
  const xTicks = x.ticks(Math.max(2, Math.floor((right - left) / 72)));
  for (const tick of xTicks) {
    const at = px(tick);
    line(context, [[at, bottom], [at, bottom + 4]]);
    const text = clipped(context, x.text(tick), Math.max((right - left) / xTicks.length - 8, 40));
    const half = context.measureText(text).width / 2;
    const centre = Math.min(Math.max(at, half), width - half);
    if (centre - half < free) continue;
    context.fillText(text, centre, bottom + 6);
    free = centre + half + 6;
  }
  line(context, [[left, bottom + 0.5], [right, bottom + 0.5]]);
  if (xLabel) context.fillText(clipped(context, xLabel, right - left), (left + right) / 2, height - 15);
  if (yLabel) {
    context.textAlign = "left";
    context.fillText(clipped(context, yLabel, width - 8), 0, 1);
  }
  return { px, py, left, right, top, bottom };
}

/** A text cut to a width. Of a path such as `model.head.size` the end says most. */
function clipped(context, text, width) {
  if (context.measureText(text).width <= width) return text;
  const path = /[./]/.test(text) && !text.includes(" ");
  const cut = (length) => (path ? `…${text.slice(-length)}` : `${text.slice(0, length)}…`);
  let length = text.length - 1;
  while (length > 1 && context.measureText(cut(length)).width > width) length -= 1;
  return cut(length);
}

function line(context, points) {
  context.beginPath();
  for (const [x, y] of points) context.lineTo(x, y);
  context.stroke();
}

function dot(context, x, y, radius) {
  context.beginPath();
  context.arc(x, y, radius, 0, 2 * Math.PI);
  context.fill();
}

/** A frame's `hit` and `over` for points `{x, y, text}`. */
function pointHits(points, radius = 14) {
  let found;
  return {
    hit(x, y) {
      found = undefined;
      let least = radius * radius;
      for (const point of points) {
        const distance = (point.x - x) ** 2 + (point.y - y) ** 2;
        if (distance <= least) [found, least] = [point, distance];
      }
      return found?.text();
    },
    over(context) {
      context.strokeStyle = colour("best");
      context.lineWidth = 2;
      context.beginPath();
      context.arc(found.x, found.y, 6, 0, 2 * Math.PI);
      context.stroke();
    },
  };
}
