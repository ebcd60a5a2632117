/* The kit of every view: it stands before the view's own script, in the function of root, data and host. */

const $ = (selector) => root.querySelector(selector);

const SHAPES = new Set(["svg", "g", "line", "polyline", "polygon", "circle", "rect", "text"]);

const make = (tag, attributes = {}, ...children) => {
  const element = SHAPES.has(tag)
    ? document.createElementNS("http://www.w3.org/2000/svg", tag)
    : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children);
  return element;
};

const list = (items) =>
  items.length < 2 ? items.join("") : `${items.slice(0, -1).join(", ")} and ${items.at(-1)}`;

/* Shares that are stored in thousandths: 0.25 where a number stands in a sentence, .25 in a table. */
const spoken = (share) => (share / 1000).toFixed(2);
const shown = (share) => spoken(share).replace(/^0/, "");

/* 5935 stays as it is; 12 345 is grouped by a narrow space. */
const grouped = (number) =>
  String(number).replace(/\B(?=(\d{3})+$)/g, number < 10000 ? "" : "\u202f");

const clamp = (value, length) => Math.min(Math.max(value, 0), length - 1);

/* How far a key moves the choice in a grid, to the right and down; null for any other key. */
const gridStep = (event) => {
  const step = {
    ArrowLeft: [-1, 0],
    ArrowRight: [1, 0],
    ArrowUp: [0, -1],
    ArrowDown: [0, 1],
    Home: [-99, 0],
    End: [99, 0],
  }[event.key];
  if (!step || event.ctrlKey || event.altKey || event.metaKey) return null;
  event.preventDefault();
  return step;
};

/* Fills a list of choices, and says which one was chosen whenever it is another one. */
const fill = (select, names, chosen, choose) => {
  select.append(...names.map((name, value) => make("option", { value }, name)));
  select.value = chosen;
  select.addEventListener("change", () => choose(Number(select.value)));
};

/* The marks below a slider, at equal distances. */
const mark = (ticks, names) =>
  ticks.append(
    ...names.map((name, at) => make("span", { style: `--at: ${at / (names.length - 1)}` }, name)),
  );

/* A line through points [x, y] of a drawing. */
const polyline = (kind, points) =>
  make("polyline", {
    class: kind,
    points: points.map(([x, y]) => `${x.toFixed(1)},${y.toFixed(1)}`).join(" "),
  });
