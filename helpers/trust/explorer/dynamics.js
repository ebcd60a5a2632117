const { steps, layers, dimensions, accuracy, low, controls } = data;
const rows = [
  ...layers.map((name, layer) => ({ name, layer })).reverse(),
  ...controls.map(([name, values]) => ({ name, values })),
];
const best = dimensions.map((_, d) => Math.max(...controls.map(([, values]) => values[d])));
const state = { step: steps.length - 1, row: 0, column: 0, timer: 0 };
const slider = $(".step");
const cells = [];

const valueAt = (row, d, step = state.step) =>
  row.values ? row.values[d] : accuracy[step][row.layer][d];
const isAbove = (row, d, step = state.step) =>
  !row.values &&
  controls.length > 0 &&
  (low ? low[step][row.layer][d] : accuracy[step][row.layer][d]) > best[d];
const aboveWords = low ? "above every control by its whole interval" : "above every control";

/* ---- the map ---- */

const buildMap = () => {
  const head = make(
    "tr",
    {},
    make("td"),
    ...dimensions.map((name) => make("th", { scope: "col" }, name)),
  );
  const bodies = [make("tbody"), make("tbody", { class: "controls" })];
  rows.forEach((row, r) => {
    const line = make("tr", {}, make("th", { scope: "row" }, row.name));
    cells.push(
      dimensions.map((_, d) => {
        const spot = make("td", { role: "gridcell", tabindex: "-1" });
        spot.addEventListener("click", () => choose(r, d));
        line.append(spot);
        return spot;
      }),
    );
    bodies[row.values ? 1 : 0].append(line);
  });
  $(".map").replaceChildren(
    make("thead", {}, head),
    ...bodies.filter((body) => body.children.length),
  );
  $(".map").addEventListener("keydown", move);
};

const drawMap = () => {
  rows.forEach((row, r) =>
    dimensions.forEach((name, d) => {
      const [spot, value, above] = [cells[r][d], valueAt(row, d), isAbove(row, d)];
      spot.textContent = shown(value);
      spot.classList.toggle("above", above);
      spot.style.setProperty(
        "--height",
        row.values ? 0 : (0.4 * Math.max(0, value / 500 - 1)).toFixed(3),
      );
      spot.setAttribute(
        "aria-label",
        `${row.name}, ${name}: ${spoken(value)}${above ? `, ${aboveWords}` : ""}`,
      );
      const chosen = r === state.row && d === state.column;
      spot.setAttribute("aria-selected", String(chosen));
      spot.tabIndex = chosen ? 0 : -1;
    }),
  );
  $("#map-title").textContent = `Probe accuracy at step ${grouped(steps[state.step])}`;
};

const choose = (row, column) => {
  [state.row, state.column] = [row, column];
  $(".told").setAttribute("aria-live", "polite");
  drawMap();
  drawCurve();
  cells[row][column].focus();
};

const move = (event) => {
  const step = gridStep(event);
  if (!step) return;
  choose(clamp(state.row + step[1], rows.length), clamp(state.column + step[0], dimensions.length));
};

/* ---- one cell over training ---- */

const RIGHT =
  24 +
  6.4 *
    Math.max(4, ...controls.map(([name]) => name.length + 4)); /* room for the controls' names */
const [WIDTH, HEIGHT, LEFT, TOP, BOTTOM] = [500 + RIGHT, 220, 34, 10, 26];
const lowest = Math.min(400, ...accuracy.flat(2), ...controls.flatMap(([, values]) => values));
const x = (step) => LEFT + ((WIDTH - LEFT - RIGHT) * step) / (steps.length - 1);
const y = (share) =>
  HEIGHT - BOTTOM - ((HEIGHT - BOTTOM - TOP) * (share - lowest)) / (1000 - lowest);

const across = (kind, share) =>
  make("line", { class: kind, x1: LEFT, x2: WIDTH - RIGHT, y1: y(share), y2: y(share) });

/* Labels of lines that lie close together are moved apart, in order of height. */
const spread = (heights) => {
  const order = heights.map((_, i) => i).sort((a, b) => heights[a] - heights[b]);
  const placed = [...heights];
  order.forEach((i, k) => {
    if (k) placed[i] = Math.max(placed[i], placed[order[k - 1]] + 13);
  });
  const beyond = Math.max(0, Math.max(...placed) - (HEIGHT - BOTTOM));
  return placed.map((height) => height - beyond);
};

const drawCurve = () => {
  const [row, d] = [rows[state.row], state.column];
  const values = steps.map((_, step) => valueAt(row, d, step));
  const svg = $(".curve");
  const parts = [500, 750, 1000]
    .map((share) => [across("grid", share), make("text", { x: 4, y: y(share) + 4 }, shown(share))])
    .flat();
  const heights = spread(controls.map(([, shares]) => y(shares[d])));
  controls.forEach(([name, shares], i) => {
    parts.push(
      across("control", shares[d]),
      make("text", { x: WIDTH - RIGHT + 6, y: heights[i] + 4 }, `${name} ${shown(shares[d])}`),
    );
  });
  parts.push(
    make("line", {
      class: "here",
      x1: x(state.step),
      x2: x(state.step),
      y1: TOP,
      y2: HEIGHT - BOTTOM,
    }),
  );
  parts.push(
    polyline(
      "line",
      values.map((value, step) => [x(step), y(value)]),
    ),
  );
  values.forEach((value, step) =>
    parts.push(
      make("circle", {
        class: "point",
        cx: x(step),
        cy: y(value),
        r: step === state.step ? 5 : 2.5,
      }),
    ),
  );
  for (const step of labelled())
    parts.push(
      make("text", { x: x(step), y: HEIGHT - 8, "text-anchor": "middle" }, grouped(steps[step])),
    );
  svg.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
  svg.replaceChildren(...parts);
  const text = tell(row, d, values);
  svg.setAttribute("aria-label", text);
  if ($(".told").textContent !== text) $(".told").textContent = text;
};

const tell = (row, d, values) => {
  const named = `${row.name}, ${dimensions[d]}`;
  if (row.values) return `${named}: ${spoken(row.values[d])} at every step; it is a control.`;
  const top = values.indexOf(Math.max(...values));
  const first = steps.findIndex((_, step) =>
    steps.slice(step).every((_, later) => isAbove(row, d, step + later)),
  );
  const onset = !controls.length
    ? ""
    : first < 0
      ? ` At the end it is not ${aboveWords}.`
      : ` It is ${aboveWords} from step ${grouped(steps[first])} on.`;
  return `${named}: ${spoken(values[0])} at step ${grouped(steps[0])}, ${spoken(values[state.step])} at step ${grouped(steps[state.step])}, highest ${spoken(values[top])} at step ${grouped(steps[top])}.${onset}`;
};

/* ---- time ---- */

const labelled = () => {
  const count = Math.min(steps.length, 8);
  return Array.from({ length: count }, (_, k) =>
    Math.round((k * (steps.length - 1)) / (count - 1)),
  );
};

const summary = () => {
  const parts = dimensions.map((name, d) => {
    const top = layers.reduce(
      (found, _, layer) =>
        accuracy[state.step][layer][d] > accuracy[state.step][found][d] ? layer : found,
      0,
    );
    return `${name} ${spoken(accuracy[state.step][top][d])} (${layers[top]})`;
  });
  const count = dimensions.filter((_, d) => rows.some((row) => isAbove(row, d))).length;
  const verdict = controls.length
    ? ` At some layer ${aboveWords}: ${count} of ${dimensions.length} dimensions.`
    : "";
  return `Step ${grouped(steps[state.step])}. Best layers: ${list(parts)}.${verdict}`;
};

const show = (step) => {
  state.step = step;
  slider.value = step;
  slider.setAttribute("aria-valuetext", `step ${steps[step]}`);
  $(".told").setAttribute("aria-live", "off"); /* one announcement a move: what the map shows */
  drawMap();
  drawCurve();
  $(".now").textContent = summary();
};

const pause = () => {
  clearInterval(state.timer);
  state.timer = 0;
  $(".play").textContent = "Play";
  $(".now").setAttribute("aria-live", "polite");
  $(".now").textContent = "";
  show(state.step);
};

/* While it plays, a screen reader is left in peace; it hears where the play stopped. */
const play = () => {
  $(".play").textContent = "Pause";
  $(".now").setAttribute("aria-live", "off");
  if (state.step === steps.length - 1) show(0);
  state.timer = setInterval(() => {
    if (!host.isConnected || state.step === steps.length - 1) pause();
    else show(state.step + 1);
  }, data.pace);
};

$(".panel .title").textContent = data.title;
$(".rule").textContent = aboveWords;
$(".swatch.above").parentElement.hidden = !controls.length;
for (const step of labelled())
  $(".ticks").append(
    make("span", { style: `--at: ${step / (steps.length - 1)}` }, grouped(steps[step])),
  );
slider.max = steps.length - 1;
slider.addEventListener("input", () => {
  const step = Number(slider.value);
  if (state.timer) pause();
  show(step);
});
$(".play").addEventListener("click", () => (state.timer ? pause() : play()));
buildMap();
show(state.step);
