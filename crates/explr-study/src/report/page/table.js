// All trials, to sort and leaf through.

const ROWS = 25;

function trialTable() {
  const columns = [
    { name: "trial", of: (trial) => trial.number },
    { name: "state", of: (trial) => trial.state, text: true },
    ...study.objectives.map((objective, place) => ({ name: objective.label, of: (trial) => trial.values[place] })),
    ...study.params.map((param, place) => ({
      name: param.name,
      of: (trial) => (param.choices && trial.params[place] !== null ? shown(trial, place) : trial.params[place]),
      text: Boolean(param.choices),
    })),
    { name: "duration", of: (trial) => (trial.start === null || trial.end === null ? null : trial.end - trial.start), show: duration },
  ];
  let order = { column: columns[0], down: false };
  let page = 0;
  let state = "";
  const present = ["every state", ...STATES.filter((name) => trials.some((trial) => trial.state === name))];
  const states = chooser(present, 0, (place) => {
    state = place ? present[place] : "";
    page = 0;
    draw();
  });
  const turn = (by, text) => {
    const made = element("button", { textContent: text });
    made.addEventListener("click", () => {
      page += by;
      draw();
    });
    return made;
  };
  const [back, on] = [turn(-1, "‹"), turn(1, "›")];
  [back.ariaLabel, on.ariaLabel] = ["Previous trials", "Next trials"];
  const place = element("span");
  const host = section("Trials", { controls: trials.length ? [states, place, back, on] : [] });
  if (!trials.length) return nothing(host, "There are no trials yet.");
  const head = element("tr");
  const body = element("tbody");
  host.append(element("div", { className: "scroll" }, element("table", {}, element("thead", {}, head), body)));

  function draw() {
    head.replaceChildren(...columns.map((column) => headCell(column, order, () => {
      order = { column, down: order.column === column && !order.down };
      page = 0;
      draw();
    })));
    const rows = sorted(trials.filter((trial) => !state || trial.state === state), order);
    const first = page * ROWS;
    body.replaceChildren(...rows.slice(first, first + ROWS).map((trial) => row(trial, columns)));
    place.textContent = `${rows.length ? first + 1 : 0} to ${Math.min(first + ROWS, rows.length)} of ${rows.length}`;
    back.disabled = page === 0;
    on.disabled = first + ROWS >= rows.length;
  }
  draw();
}

function headCell(column, order, sort) {
  const own = order.column === column;
  const button = element("button", { textContent: own ? `${column.name} ${order.down ? "↓" : "↑"}` : column.name });
  button.addEventListener("click", sort);
  const cell = element("th", { className: column.text ? "text" : "", scope: "col" }, button);
  if (own) cell.setAttribute("aria-sort", order.down ? "descending" : "ascending");
  return cell;
}

/** In order; what is missing or not a number comes last either way. */
function sorted(rows, { column, down }) {
  const key = new Map(rows.map((trial) => [trial, column.of(trial)]));
  const rank = (value) => (value === null || value === undefined ? 2 : column.text || isNumber(value) ? 0 : 1);
  return [...rows].sort((a, b) => {
    const [x, y] = [key.get(a), key.get(b)];
    if (rank(x) || rank(y)) return rank(x) - rank(y);
    const ascending = column.text ? String(x).localeCompare(String(y)) : x - y;
    return (down ? -ascending : ascending) || a.number - b.number;
  });
}

function row(trial, columns) {
  return element("tr", {}, ...columns.map((column) => {
    const value = column.of(trial);
    const missing = value === null || value === undefined;
    const text = missing ? "–" : column.text ? String(value) : (column.show ?? format)(value);
    const cell = element("td", { className: missing ? "none" : column.text ? "text" : "" });
    if (column.name === "state" && column.text && value === trial.state) {
      const mark = element("i");
      mark.style.background = `var(--${trial.state})`;
      cell.append(mark);
    } else if (column.text) {
      cell.title = text;
    }
    cell.append(text);
    return cell;
  }));
}
