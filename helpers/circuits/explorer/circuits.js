/* ---- the circuit, and the grid of heads ---- */

const slider = $(".step");
const cells = [];
const kept = () =>
  state.mode === "hand" ? state.mask : state.task.methods[state.method].steps[state.step];
const layersOf = (task) =>
  Array.from({ length: task.layers }, (_, i) => task.layers - 1 - i); /* the last layer on top */
const indexAt = (task, layer, head) => task.heads.findIndex(([l, h]) => l === layer && h === head);

const buildGrid = () => {
  const { task } = state;
  const columns = [...Array(task.columns).keys()];
  const header = make(
    "tr",
    {},
    make("td"),
    ...columns.map((head) =>
      make("th", { scope: "col" }, make("span", { class: "long" }, "head "), String(head)),
    ),
  );
  cells.length = 0;
  const rows = layersOf(task).map((layer) => {
    const row = make(
      "tr",
      {},
      make("th", { scope: "row" }, make("span", { class: "long" }, "layer "), String(layer)),
    );
    for (const head of columns) {
      const [i, spot] = [indexAt(task, layer, head), make("td", { role: "gridcell" })];
      if (i >= 0) {
        const button = make("button", { type: "button" });
        button.addEventListener("click", () => press(i));
        spot.append(button);
        cells[i] = { spot, button };
      }
      row.append(spot);
    }
    return row;
  });
  $(".grid").replaceChildren(make("thead", {}, header), make("tbody", {}, ...rows));
};

const drawGrid = () => {
  const { task } = state;
  const [method, mask, hand] = [task.methods[state.method], kept(), state.mode === "hand"];
  const [least, most] = [Math.min(...method.scores), Math.max(...method.scores)];
  cells.forEach(({ spot, button }, i) => {
    const [isIn, isTrue, change] = [
      Boolean((mask >> i) & 1),
      (task.true >> i) & 1,
      changeOf(task, mask, i),
    ];
    const line = (kind, ...texts) =>
      make(
        "span",
        { class: `row ${kind}`, "aria-hidden": "true" },
        ...texts.map((text) => make("span", {}, text)),
      );
    const parts = [
      line("name", task.names[i], isTrue ? "◆" : ""),
      line("score", scored(method.scores[i])),
      line("state", isIn ? "✓ kept" : "– out"),
    ];
    if (hand) parts.push(line("change", Number.isNaN(change) ? "?" : signed(change)));
    button.replaceChildren(...parts);
    button.classList.toggle("in", isIn);
    button.style.setProperty(
      "--height",
      most > least ? ((0.4 * (method.scores[i] - least)) / (most - least)).toFixed(3) : 0,
    );
    const effect = hand
      ? `; ${isIn ? "leaving it out" : "adding it"} changes faithfulness by ${Number.isNaN(change) ? "an amount beyond the stored range" : signed(change)}`
      : "";
    button.setAttribute(
      "aria-label",
      `${task.names[i]}${isTrue ? ", true head" : ""}: score ${scored(method.scores[i])}, ${isIn ? "kept" : "left out"}${effect}`,
    );
    if (hand) button.setAttribute("aria-pressed", String(isIn));
    else button.removeAttribute("aria-pressed");
    button.tabIndex = i === state.head ? 0 : -1;
    spot.setAttribute("aria-selected", String(i === state.head));
  });
  $(".how").textContent = hand
    ? "Click a head, or press Space on it, to keep it or leave it out. The signed number is what that would change faithfulness by."
    : "Choose a head with the pointer or the arrow keys to see its codes and its attention. Heads of one score are kept together.";
};

const choose = (i) => {
  if (state.head !== i) setHead(i);
  $(".told").setAttribute(
    "aria-live",
    state.mode === "hand" ? "off" : "polite",
  ); /* one announcement a move */
  drawGrid();
  drawHead();
  cells[i].button.focus();
};

const press = (i) => {
  if (state.mode === "hand") {
    const before = state.mask;
    state.mask ^= 1 << i;
    drawCircuit(
      `${state.task.names[i]} ${(state.mask >> i) & 1 ? "added" : "left out"}: faithfulness from ${faithfulness(state.task, before)} to ${faithfulness(state.task, state.mask)}. `,
    );
  }
  choose(i);
};

const move = (event) => {
  const step = gridStep(event);
  if (!step) return;
  const [layer, head] = state.task.heads[state.head];
  const i = indexAt(
    state.task,
    clamp(layer - step[1], state.task.layers),
    clamp(head + step[0], state.task.columns),
  );
  if (i >= 0) choose(i);
};

/* ---- measures ---- */

const drawMeasures = (task, mask) => {
  const [size, count] = [popcount(mask), task.bysize[popcount(mask)].length];
  const of = measuresOf(task, mask);
  const rows = [
    ["faithfulness", faithfulness(task, mask)],
    ["precision", size ? fixed(of.precision) : "–"],
    ["recall", fixed(of.recall)],
    ["f1", fixed(of.f1)],
  ];
  const named = [
    "",
    "this circuit",
    count === 1 ? "the only circuit" : `mean of all ${grouped(count)}`,
    "5 to 95 %",
  ].map((text) => (text ? make("th", { scope: "col" }, text) : make("td")));
  const body = rows.map(([name, value]) => {
    const [mean, low, high] = task.sizes[size][name];
    const others =
      name === "precision" && !size ? ["–", "–"] : [fixed(mean), `${fixed(low)} to ${fixed(high)}`];
    return make(
      "tr",
      {},
      make("th", { scope: "row" }, name === "f1" ? "F1" : name),
      ...[value, ...others].map((text) => make("td", {}, text)),
    );
  });
  $(".measures").replaceChildren(
    make("thead", {}, make("tr", {}, ...named)),
    make("tbody", {}, ...body),
  );
};

const sentence = (task, mask) => {
  const [size, of] = [popcount(mask), measuresOf(task, mask)];
  const count = task.bysize[size].length;
  const [mean, low, high] = task.sizes[size].faithfulness;
  const precision = size ? `precision ${fixed(of.precision)}, ` : "";
  const own = `${size === task.heads.length ? "All" : size || "No"} ${size === 1 ? "head" : "heads"} kept${size && size < task.heads.length ? `: ${told(task, mask)}` : ""}. Faithfulness ${faithfulness(task, mask)}, ${precision}recall ${fixed(of.recall)}, F1 ${fixed(of.f1)}.`;
  if (count === 1) return own;
  return `${own} All ${grouped(count)} circuits of ${heads(size)}: mean faithfulness ${fixed(mean)}, 5 to 95 % from ${fixed(low)} to ${fixed(high)}; this one is higher than ${grouped(lowerThan(task, mask))} of the other ${grouped(count - 1)}.`;
};

/* The best circuit of this size, and which single step would help or hurt most. */
const advise = (task, mask) => {
  const size = popcount(mask);
  const best = task.sizes[size].best;
  const changes = task.heads
    .map((_, i) => ({ i, change: changeOf(task, mask, i), isIn: (mask >> i) & 1 }))
    .filter(({ change }) => !Number.isNaN(change));
  const largest = (items) =>
    items.reduce((found, item) => (item.change > found.change ? item : found));
  const [out, inside] = [changes.filter(({ isIn }) => !isIn), changes.filter(({ isIn }) => isIn)];
  const parts = [];
  if (size && size < task.heads.length)
    parts.push(
      `Best circuit of ${heads(size)}: ${best === mask ? "this one" : `${told(task, best)}, ${fixed(task.sizes[size].highest)}`}.`,
    );
  if (out.length)
    parts.push(`Best head to add: ${task.names[largest(out).i]} (${signed(largest(out).change)}).`);
  if (inside.length)
    parts.push(
      `Best head to leave out: ${task.names[largest(inside).i]} (${signed(largest(inside).change)}).`,
    );
  return parts.join(" ");
};

const [WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM] = [480, 230, 34, 10, 10, 34];

const drawCurve = (task, mask) => {
  const method = task.methods[state.method];
  const n = task.heads.length;
  const points = [...new Set(method.steps)].map((step) => [popcount(step), valueOf(task, step)]);
  const every = [
    ...points.map(([, value]) => value),
    ...task.sizes.flatMap(({ faithfulness, highest }) => [...faithfulness, highest]),
    valueOf(task, mask),
  ];
  const [low, high] = [Math.min(0, ...every), Math.max(1, ...every)];
  const x = (size) => (LEFT + ((WIDTH - LEFT - RIGHT) * size) / n).toFixed(1);
  const y = (value) =>
    (HEIGHT - BOTTOM - ((HEIGHT - BOTTOM - TOP) * (value - low)) / (high - low)).toFixed(1);
  const path = (values) => values.map(([size, value]) => `${x(size)},${y(value)}`).join(" ");
  const along = (column) =>
    task.sizes.map(({ faithfulness }, size) => [size, faithfulness[column]]);
  const parts = [0, 0.5, 1].flatMap((value) => [
    make("line", { class: "scale", x1: LEFT, x2: WIDTH - RIGHT, y1: y(value), y2: y(value) }),
    make("text", { x: 4, y: Number(y(value)) + 4 }, fixed(value)),
  ]);
  for (let size = 0; size <= n; size += n > 8 ? 2 : 1)
    parts.push(make("text", { x: x(size), y: HEIGHT - 18, "text-anchor": "middle" }, String(size)));
  parts.push(
    make(
      "text",
      { x: (LEFT + WIDTH - RIGHT) / 2, y: HEIGHT - 3, "text-anchor": "middle" },
      "heads kept",
    ),
  );
  parts.push(
    make("polygon", { class: "band", points: path([...along(1), ...along(2).reverse()]) }),
  );
  parts.push(make("polyline", { class: "mean", points: path(along(0)) }));
  parts.push(
    make("polyline", {
      class: "top",
      points: path(task.sizes.map(({ highest }, size) => [size, highest])),
    }),
  );
  parts.push(
    make("polyline", { class: "line", points: path(points) }),
    ...points.map(([size, value]) =>
      make("circle", { class: "dot", cx: x(size), cy: y(value), r: 2.5 }),
    ),
  );
  parts.push(
    make("circle", { class: "point", cx: x(popcount(mask)), cy: y(valueOf(task, mask)), r: 5 }),
  );
  const svg = $(".curve");
  svg.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
  svg.replaceChildren(...parts);
  const words = points.map(([size, value]) => `${size}: ${fixed(value)}`).join(", ");
  svg.setAttribute(
    "aria-label",
    `Faithfulness by the number of heads kept. The best heads by ${method.name}: ${words}. Mean of all circuits: ${along(
      0,
    )
      .map(([size, value]) => `${size}: ${fixed(value)}`)
      .join(", ")}. This circuit: ${popcount(mask)}: ${faithfulness(task, mask)}.`,
  );
};

const drawCircuit = (news = "") => {
  const [{ task }, mask] = [state, kept()];
  drawGrid();
  drawMeasures(task, mask);
  drawCurve(task, mask);
  $(".advice").textContent = advise(task, mask);
  $(".now").textContent = news + sentence(task, mask);
};

/* ---- controls ---- */

const slide = (step) => {
  const { steps, name } = state.task.methods[state.method];
  state.step = step;
  slider.max = steps.length - 1;
  slider.value = step;
  slider.setAttribute("aria-valuetext", `the best ${heads(popcount(steps[step]))} by ${name}`);
  drawCircuit();
};

/* The circuit of a method whose size is nearest to a wanted one. */
const nearest = (size) => {
  const distance = (step) => Math.abs(popcount(step) - size);
  const { steps } = state.task.methods[state.method];
  return steps.reduce((found, step, i) => (distance(step) < distance(steps[found]) ? i : found), 0);
};

const setMethod = (index, size) => {
  state.method = index;
  $(".chosen").textContent = `best by ${state.task.methods[index].name}, a dot for each threshold`;
  slide(nearest(size));
  drawHead();
};

const setTask = (index, size) => {
  const before = state.task.methods[state.method].name;
  state.task = data.tasks[index];
  const { task } = state;
  setHead(Math.min(state.head, task.heads.length - 1));
  state.text = Math.min(state.text, task.texts.length - 1);
  state.mask &= task.values.length - 1;
  $(".method").replaceChildren(
    ...task.methods.map(({ name }, i) => make("option", { value: i }, name)),
  );
  const method = Math.max(
    0,
    task.methods.findIndex(({ name }) => name === before),
  );
  $(".method").value = String(method);
  $(".truth").textContent =
    `◆ True head: ${task.truth}. Faithfulness: mean ${task.metric} with all other heads replaced, on a scale from 0 (no head kept) to 1 (all).`;
  const ends = task.outside
    ? ` ${grouped(task.outside)} of the ${grouped(task.values.length)} circuits lie outside the stored range and are shown as its end, ≤ or ≥.`
    : "";
  $(".stored").textContent =
    `The page holds the faithfulness of all ${grouped(task.values.length)} circuits, to the nearest ${data.step}, from ${fixed(data.low)} to ${fixed(data.low + 255 * data.step)}.${ends} Means and ranges are exact.`;
  buildGrid();
  listTexts();
  setMethod(method, size);
};

const setMode = (mode) => {
  if (mode === "hand") state.mask = kept(); /* by hand goes on from where the slider stands */
  state.mode = mode;
  $(".slide").hidden = mode === "hand";
  $(".starts").hidden = mode !== "hand";
  drawCircuit();
};

$("#view-title").textContent = data.title;
$(".task").replaceChildren(...data.tasks.map(({ task }, i) => make("option", { value: i }, task)));
$(".task").addEventListener("change", (event) =>
  setTask(Number(event.target.value), popcount(kept())),
);
$(".method").addEventListener("change", (event) =>
  setMethod(Number(event.target.value), popcount(kept())),
);
$(".text").addEventListener("change", (event) => chooseText(Number(event.target.value)));
$(".grid").addEventListener("keydown", move);
slider.addEventListener("input", () => slide(Number(slider.value)));
for (const input of root.querySelectorAll('input[name="mode"]'))
  input.addEventListener("change", () => setMode(input.value));
for (const button of root.querySelectorAll("[data-start]")) {
  button.addEventListener("click", () => {
    const { task } = state;
    state.mask = {
      none: 0,
      all: task.values.length - 1,
      true: task.true,
      best: task.sizes[popcount(state.mask)].best,
    }[button.dataset.start];
    drawCircuit();
  });
}
state.head = data.tasks[0].shapley.ranks.findIndex((rank) => /^1(–|$)/.test(rank));
setTask(0, popcount(data.tasks[0].true));
