const minus = (text) => text.replace("-", "−");
const fixed = (value) => minus((Math.abs(value) < 0.005 ? 0 : value).toFixed(2));
const signed = (value) =>
  (value > 0.004 ? "+" : "") + (Math.abs(value) < 0.005 ? "±0" : fixed(value));
/* Scores have the scale of their method: counts stay whole, others get three digits. */
const scored = (value) => {
  if (Number.isInteger(value)) return minus(String(value));
  const size = Math.abs(value);
  return minus(
    size < 0.001 || size >= 10000
      ? value.toExponential(1)
      : size >= 100
        ? value.toFixed(0)
        : value.toPrecision(3),
  );
};
const bytes = (text) => Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
const heads = (count) => `${count === 0 ? "no" : count} head${count === 1 ? "" : "s"}`;

for (const task of data.tasks) {
  task.values = bytes(task.table);
  task.rows = bytes(task.attention);
  task.names = task.heads.map(([layer, head]) => `L${layer}H${head}`);
  task.bysize = task.sizes.map(() => []);
  task.values.forEach((_, mask) => task.bysize[popcount(mask)].push(mask));
  task.starts = []; /* where a text's row begins among a head's rows */
  task.width = task.texts.reduce((at, words) => (task.starts.push(at), at + words.length), 0);
  task.half = task.texts.length / 2;
}

function popcount(mask) {
  let count = 0;
  for (let rest = mask; rest; rest &= rest - 1) count += 1;
  return count;
}

/* ---- faithfulness: of every circuit, in stored steps ---- */

const valueOf = (task, mask) => data.low + data.step * task.values[mask];
const isEnd = (task, mask) =>
  task.outside > 0 && (task.values[mask] === 0 || task.values[mask] === 255);
const faithfulness = (task, mask) =>
  (isEnd(task, mask) ? (task.values[mask] ? "≥ " : "≤ ") : "") + fixed(valueOf(task, mask));
const namesOf = (task, mask) => task.names.filter((_, i) => (mask >> i) & 1);
const told = (task, mask) => list(namesOf(task, mask)) || "none";
const changeOf = (task, mask, i) =>
  isEnd(task, mask) || isEnd(task, mask ^ (1 << i))
    ? NaN
    : data.step * (task.values[mask ^ (1 << i)] - task.values[mask]);

const measuresOf = (task, mask) => {
  const [kept, true_, hits] = [popcount(mask), popcount(task.true), popcount(mask & task.true)];
  return {
    precision: kept ? hits / kept : 1,
    recall: hits / true_,
    f1: (2 * hits) / (kept + true_),
  };
};

/* How many of the other circuits of a size have a lower stored faithfulness. */
const lowerThan = (task, mask) =>
  task.bysize[popcount(mask)].filter((other) => task.values[other] < task.values[mask]).length;

/* ---- attention, in hundredths ---- */

const attentionOf = (task, head, text) => {
  const start = head * task.width + task.starts[text];
  return task.rows.subarray(start, start + task.texts[text].length);
};
const nameOf = (task, text) =>
  text < task.half ? `prompt ${text + 1}` : `twin ${text - task.half + 1}`;
const twinOf = (task, text) => task.texts[text < task.half ? text + task.half : text - task.half];
