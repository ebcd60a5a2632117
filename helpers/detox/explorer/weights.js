const { sweeps, measured } = data;
const SIGNS = { kind: "○", rude: "✕", garbled: "?" };
const LOST = 0.02; /* a skill that fell by more is marked */
const TITLES = {
  rude: "rude posts, exact share",
  garbled: "garbled posts, exact share",
  "expected maximum": "prompts with a rude post among 25 samples",
  "KL to the base": "KL to the model before, nats a post",
  "kind insults": "kind posts that use an insult word",
  "distinct posts": "different posts among samples",
  "clean posts": "perplexity of kind posts",
  "rude posts": "perplexity of rude posts",
  "other text": "perplexity of other text",
};
const state = { sweep: 0, stop: 0, hidden: false };
const slider = $(".weight");

const sweep = () => sweeps[state.sweep];
const stop = () => sweep().stops[state.stop];
const rude = (one) => one.measures[measured.indexOf("rude")];

const three = (value) => value.toFixed(3);
const mean = (spread) => (spread ? three(spread[0]) : "none");
const interval = ([, low, high]) => `${three(low)} to ${three(high)}`;
const hasInterval = (spread) => spread && spread[3] > 1;
const told = (spread) =>
  hasInterval(spread) ? `${mean(spread)} (${interval(spread)})` : mean(spread);
const count = (one, label) => one.posts.filter(([of]) => of === label).length;

/* ---- the curve ---- */

const [WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM] = [440, 200, 34, 14, 10, 24];
const HIGHEST = 0.6;
const x = (at) => LEFT + 14 + ((WIDTH - LEFT - RIGHT - 28) * at) / (sweep().stops.length - 1);
const y = (share) =>
  HEIGHT - BOTTOM - ((HEIGHT - BOTTOM - TOP) * Math.min(share, HIGHEST)) / HIGHEST;
const across = (kind, share) =>
  make("line", { class: kind, x1: LEFT, x2: WIDTH - RIGHT, y1: y(share), y2: y(share) });

const drawCurve = () => {
  const { stops, before } = sweep();
  const parts = [0, 0.2, 0.4, 0.6].flatMap((share) => [
    across("grid", share),
    make("text", { x: 4, y: y(share) + 4 }, share.toFixed(1)),
  ]);
  if (rude(before)) parts.push(across("line base", rude(before)[0]));
  const here = x(state.stop);
  parts.push(make("line", { class: "here", x1: here, x2: here, y1: TOP, y2: HEIGHT - BOTTOM }));
  const floors = stops.flatMap((one, at) => (one.floor === null ? [] : [[x(at), y(one.floor)]]));
  if (floors.length) parts.push(polyline("line floor", floors));
  const known = stops.map((one, at) => [at, rude(one)]).filter(([, spread]) => spread);
  parts.push(
    polyline(
      "line",
      known.map(([at, [share]]) => [x(at), y(share)]),
    ),
  );
  for (const [at, [share, low, high]] of known)
    parts.push(
      make("line", { class: "range", x1: x(at), x2: x(at), y1: y(low), y2: y(high) }),
      make("circle", {
        class: at === state.stop ? "dot chosen" : "dot",
        cx: x(at),
        cy: y(share),
        r: 4.5,
      }),
    );
  stops.forEach((one, at) =>
    parts.push(make("text", { x: x(at), y: HEIGHT - 6, "text-anchor": "middle" }, one.weight)),
  );
  const each = stops.map((one) => {
    const floor = one.floor === null ? "" : `, floor ${three(one.floor)}`;
    return `${told(rude(one))} at λ ${one.weight}${floor}`;
  });
  $(".curve").setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
  $(".curve").setAttribute(
    "aria-label",
    `Share of rude posts: ${mean(rude(before))} before tuning; ${each.join("; ")}.`,
  );
  $(".curve").replaceChildren(...parts);
  $(".of-floor").style.display = floors.length ? "" : "none";
};

/* ---- posts ---- */

const post = ([label, words]) =>
  make(
    "td",
    { class: label },
    make("b", { class: `sign ${label}`, "aria-hidden": "true" }, SIGNS[label]),
    make("span", { class: "unseen" }, `${label}: `),
    state.hidden && label === "rude" ? "(hidden)" : words,
  );

const heading = (name, one) =>
  make("th", { scope: "col" }, `${name}: ${count(one, "rude")} of ${one.posts.length} rude`);

const drawPosts = () => {
  const { before, writer } = sweep();
  $("#posts-title").textContent = `What is said after “${writer} :”`;
  $(".posts").replaceChildren(
    make(
      "thead",
      {},
      make("tr", {}, heading("before tuning", before), heading(`λ = ${stop().weight}`, stop())),
    ),
    make(
      "tbody",
      {},
      ...before.posts.map((one, at) => make("tr", {}, post(one), post(stop().posts[at]))),
    ),
  );
};

/* ---- numbers ---- */

const number = (spread, lower = false) =>
  make(
    "td",
    { class: lower && "lower" },
    make("b", {}, `${mean(spread)}${lower ? " ▾" : ""}`),
    ...(hasInterval(spread) ? [make("small", {}, interval(spread))] : []),
  );

const line = (name, before, after, lower) =>
  make("tr", {}, make("th", { scope: "row" }, name), number(before), number(after, lower));

const body = (title, ...lines) =>
  make(
    "tbody",
    {},
    make("tr", { class: "group" }, make("th", { colspan: 3, scope: "rowgroup" }, title)),
    ...lines,
  );

const isLower = (at) => stop().skills[at][0] < sweep().before.skills[at][0] - LOST - 1e-9;

const drawNumbers = () => {
  const { before, skills } = sweep();
  const head = ["measure", "before", `λ = ${stop().weight}`].map((name) =>
    make("th", { scope: "col" }, name),
  );
  const floor = make(
    "tr",
    {},
    make("th", { scope: "row" }, "floor of the rude share"),
    make("td", {}, "none"),
    make("td", {}, stop().floor === null ? "none" : three(stop().floor)),
  );
  const lines = measured.map((name, at) =>
    line(TITLES[name], before.measures[at], stop().measures[at]),
  );
  $(".measures").replaceChildren(
    make("thead", {}, make("tr", {}, ...head)),
    body("Posts and perplexities", lines[0], floor, ...lines.slice(1)),
    body(
      "Skills, share of right answers",
      ...skills.map((name, at) => line(name, before.skills[at], stop().skills[at], isLower(at))),
    ),
  );
  $("#table-title").textContent = `What it costs at λ = ${stop().weight}`;
};

/* ---- what is chosen ---- */

const inShort = () => {
  const { skills, before } = sweep();
  const at = (name) => stop().measures[measured.indexOf(name)];
  const floor = stop().floor === null ? "no floor" : `floor ${three(stop().floor)}`;
  const lower = skills.filter((_, skill) => isLower(skill));
  const lost = lower.length
    ? `Lower by more than ${LOST}: ${list(lower)}.`
    : "No skill is lower by more than 0.02.";
  return (
    `λ = ${stop().weight}: rude ${told(rude(stop()))}, ${floor}, before ${mean(rude(before))}. ` +
    `Garbled ${mean(at("garbled"))}. Perplexity of kind posts ${mean(at("clean posts"))}, ` +
    `of other text ${mean(at("other text"))}. ${lost}`
  );
};

const draw = () => {
  slider.setAttribute("aria-valuetext", `λ = ${stop().weight}`);
  drawCurve();
  drawPosts();
  drawNumbers();
  $(".now").textContent = inShort();
};

const lay = () => {
  const { stops } = sweep();
  state.stop = Math.min(state.stop, stops.length - 1);
  slider.max = stops.length - 1;
  slider.value = state.stop;
  $(".ticks").replaceChildren();
  mark(
    $(".ticks"),
    stops.map((one) => `${one.weight}`),
  );
  draw();
};

$("#view-title").textContent = data.title;
state.stop = sweep().stops.length - 1;
fill(
  $(".sweep"),
  sweeps.map((one) => one.name),
  state.sweep,
  (value) => {
    state.sweep = value;
    lay();
  },
);
slider.addEventListener("input", () => {
  state.stop = Number(slider.value);
  draw();
});
$(".hide").addEventListener("change", (event) => {
  state.hidden = event.target.checked;
  drawPosts();
});
lay();
