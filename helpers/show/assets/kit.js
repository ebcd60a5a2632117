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
