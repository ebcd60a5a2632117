const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

const { points, places, facts, words } = data;
const HALF = points.indexOf(1);
const SIDES = [0, 1]; /* the left and the right column */
const state = { fact: 0, point: HALF, place: [0, Math.min(1, places.length - 1)] };
const slider = $(".point");
const selects = [...root.querySelectorAll(".place")];

const fact = () => facts[state.fact];
const way = (side) => fact().ways[state.place[side]];

/* Which questions are of a group. */
const rowsOf = (group) => fact().questions.flatMap(([of], row) => (of === group ? [row] : []));

const has = (group) => rowsOf(group).length > 0;
const isKept = (side, row, at) => way(side).said[at][row] === way(side).said[0][row];
const follows = (side, row, at) => way(side).new[at][row] > way(side).old[at][row];
const count = (group, side, test) => {
  const rows = rowsOf(group);
  return `${rows.filter((row) => test(side, row, state.point)).length} of ${rows.length}`;
};
const meanNew = (group, side, at = state.point) =>
  mean(rowsOf(group).map((row) => way(side).new[at][row]));

const pointName = (at) => {
  if (at === 0) return "before the edit";
  const ends = SIDES.every((side) => way(side).reached) ? "" : " or the path ends";
  if (at === HALF) return `where P(${fact().new}) is ½${ends}`;
  return `at ${points[at]} of the way to ½`;
};

/* ---- the table ---- */

const signed = (change) => `${change < 0 ? "−" : "+"}${spoken(Math.abs(change))}`;

const measures = () => {
  const { old, new: wanted } = fact();
  const at = state.point;
  const loss = (side) =>
    `${spoken(way(side).loss[at])} (${signed(way(side).loss[at] - way(side).loss[0])})`;
  return [
    ["distance moved ‖Δw‖", (side) => spoken(way(side).distance[at])],
    [
      `distance where P(${wanted}) is ½`,
      (side) => (way(side).reached ? spoken(way(side).distance[HALF]) : "never ½"),
    ],
    [`P(${wanted})`, (side) => shown(way(side).new[at][0])],
    [`P(${old})`, (side) => shown(way(side).old[at][0])],
    has("paraphrase") && [
      `P(${wanted}) in paraphrases, mean`,
      (side) => shown(meanNew("paraphrase", side)),
    ],
    has("sibling") && ["siblings kept", (side) => count("sibling", side, isKept)],
    has("other") && ["other kinds kept", (side) => count("other", side, isKept)],
    has("realm")
      ? ["realm follows", (side) => `${count("realm", side, follows)} frames`]
      : ["realm follows", () => "same realm"],
    ["loss on ordinary text", loss],
  ].filter(Boolean);
};

const line = (name, cells) =>
  make("tr", {}, make("th", { scope: "row" }, name), ...SIDES.map(cells));

const answer = (row) => (side) => {
  const [, , old, wanted] = fact().questions[row];
  const [one, at] = [way(side), state.point];
  const kept = isKept(side, row, at);
  const said = words[one.said[at][row]];
  const was = kept ? "" : ` (was ${words[one.said[0][row]]})`;
  const chance = (word, share) => `${words[word]}\u00a0${shown(share)}`;
  const chances = `${chance(old, one.old[at][row])}, ${chance(wanted, one.new[at][row])}`;
  return make(
    "td",
    {
      class: kept ? false : "changed",
      style: `--height: ${((0.4 * one.new[at][row]) / 1000).toFixed(3)}`,
    },
    make("b", {}, said),
    was,
    make("small", {}, chances),
  );
};

const titles = () => ({
  prompt: "The fact, as it was edited",
  paraphrase: "In other words",
  realm: "Its realm, which should follow",
  sibling: `Siblings, each of which is to stay: ${fact().old}`,
  other: "Entities of other kinds, which are to stay",
});

const body = (title, ...lines) =>
  make(
    "tbody",
    {},
    make("tr", { class: "group" }, make("th", { colspan: 3, scope: "rowgroup" }, title)),
    ...lines,
  );

const drawTable = () => {
  const head = make(
    "tr",
    {},
    make("th", { scope: "col" }, "asked"),
    ...SIDES.map((side) =>
      make(
        "th",
        { scope: "col" },
        make("b", { class: side ? "mark other" : "mark", "aria-hidden": "true" }, side ? "■" : "●"),
        ` ${places[state.place[side]]}`,
      ),
    ),
  );
  const groups = Object.entries(titles()).filter(([group]) => has(group));
  $(".answers").replaceChildren(
    make("thead", {}, head),
    body(
      "In short",
      ...measures().map(([name, tell]) => line(name, (side) => make("td", {}, tell(side)))),
    ),
    ...groups.map(([group, title]) =>
      body(title, ...rowsOf(group).map((row) => line(fact().questions[row][1], answer(row)))),
    ),
  );
  $("#table-title").textContent = `What the model says ${pointName(state.point)}`;
};

/* ---- the curve ---- */

const [WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM] = [440, 190, 34, 12, 10, 24];
const x = (at) => LEFT + ((WIDTH - LEFT - RIGHT) * points[at]) / points.at(-1);
const y = (share) => HEIGHT - BOTTOM - ((HEIGHT - BOTTOM - TOP) * share) / 1000;
const every = points.map((_, at) => at);
const path = (kind, values) =>
  polyline(
    kind,
    values.map((value, at) => [x(at), y(value)]),
  );

const marker = (side, at, value) =>
  side
    ? make("rect", { class: "dot other", x: x(at) - 4, y: y(value) - 4, width: 8, height: 8 })
    : make("circle", { class: "dot", cx: x(at), cy: y(value), r: 4.5 });

const drawCurve = () => {
  const parts = [0, 500, 1000].flatMap((share) => [
    make("line", { class: "grid", x1: LEFT, x2: WIDTH - RIGHT, y1: y(share), y2: y(share) }),
    make("text", { x: 4, y: y(share) + 4 }, shown(share)),
  ]);
  const here = x(state.point);
  parts.push(make("line", { class: "here", x1: here, x2: here, y1: TOP, y2: HEIGHT - BOTTOM }));
  const told = [];
  for (const side of SIDES) {
    const kind = side ? "line other" : "line";
    const prompt = every.map((at) => way(side).new[at][0]);
    parts.push(path(kind, prompt));
    const siblings = has("sibling") ? every.map((at) => meanNew("sibling", side, at)) : null;
    if (siblings) parts.push(path(`${kind} mean`, siblings));
    prompt.forEach((value, at) => parts.push(marker(side, at, value)));
    const of = siblings ? `, for siblings ${list(siblings.map(spoken))}` : "";
    told.push(`${places[state.place[side]]}: on the prompt ${list(prompt.map(spoken))}${of}.`);
  }
  for (const at of every)
    parts.push(make("text", { x: x(at), y: HEIGHT - 6, "text-anchor": "middle" }, points[at]));
  $(".curve").setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
  $(".curve").setAttribute(
    "aria-label",
    `P(${fact().new}) at ${list(points.map(String))} of the way to ½. ${told.join(" ")}`,
  );
  $(".curve").replaceChildren(...parts);
  $("#curve-title").textContent = `P(${fact().new}) along the way`;
};

/* ---- what is chosen ---- */

const inShort = (side) => {
  const one = way(side);
  const parts = [
    `moved ${spoken(one.distance[state.point])}`,
    `P(${fact().new}) ${spoken(one.new[state.point][0])}`,
  ];
  if (has("sibling")) parts.push(`${count("sibling", side, isKept)} siblings kept`);
  if (has("other")) parts.push(`${count("other", side, isKept)} others kept`);
  return `${places[state.place[side]]}: ${parts.join(", ")}.`;
};

const draw = () => {
  slider.setAttribute("aria-valuetext", pointName(state.point));
  SIDES.forEach((side) => {
    root.querySelectorAll(".name")[side].textContent = places[state.place[side]];
  });
  drawCurve();
  drawTable();
  const { subject, old, new: wanted } = fact();
  const sides = state.place[0] === state.place[1] ? [0] : SIDES;
  $(".now").textContent =
    `${subject}: ${old} to ${wanted}, ${pointName(state.point)}. ${sides.map(inShort).join(" ")}`;
};

$("#view-title").textContent = data.title;
fill(
  $(".fact"),
  facts.map(({ subject, old, new: wanted }) => `${subject}: ${old} to ${wanted}`),
  state.fact,
  (value) => {
    state.fact = value;
    draw();
  },
);
selects.forEach((select, side) =>
  fill(select, places, state.place[side], (value) => {
    state.place[side] = value;
    draw();
  }),
);
mark($(".ticks"), points.map(String));
slider.max = points.length - 1;
slider.value = state.point;
slider.addEventListener("input", () => {
  state.point = Number(slider.value);
  draw();
});
draw();
