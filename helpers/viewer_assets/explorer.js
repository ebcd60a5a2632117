const $ = (selector) => root.querySelector(selector);
const LEVELS = 99; /* probabilities are stored as two digits, 00 to 99 for 0 to 1 */
const n = data.digits;
const answerLabels = data.labels.slice(-(n + 1 + data.sign));
const first = $('input[name="first"]');
const second = $('input[name="second"]');
const listed = $('select[name="listed"]');
const firstNode = Math.max(0, data.nodes.findIndex(([, layer, head]) => layer === data.layers - 1 && head < 0));
const state = { question: null, mode: data.modes[0], node: firstNode, head: 0 };

const make = (tag, attributes = {}, ...children) => {
  const element = /^(svg|rect|text|g)$/.test(tag)
    ? document.createElementNS("http://www.w3.org/2000/svg", tag)
    : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) if (value !== false) element.setAttribute(name, value === true ? "" : value);
  element.append(...children);
  return element;
};
const percent = (p) => (p > 0.9995 ? ">99.9 %" : p < 0.0005 ? "<0.1 %" : `${(100 * p).toFixed(p > 0.1 && p < 0.99 ? 0 : 1)} %`);
const list = (items) => (items.length < 2 ? items.join("") : `${items.slice(0, -1).join(", ")} and ${items.at(-1)}`);

/* ---- arithmetic: the sub-tasks of any two numbers, units first ---- */

const subtasks = (a, b) => {
  const columns = [];
  for (let k = 0; k < n; k++) {
    const sum = Number(a[n - 1 - k]) + Number(b[n - 1 - k]);
    const st = sum >= 10 ? "1" : sum === 9 && k > 0 ? "U" : "0";
    const sv = st === "U" ? columns[k - 1].SV : st;
    columns.push({ SA: String(sum % 10), SC: String(+(sum >= 10)), SS: String(+(sum === 9)), ST: st, SV: sv });
  }
  return columns;
};

const answerOf = (columns) => {
  const digits = columns.map((column, k) => (Number(column.SA) + (k ? Number(columns[k - 1].SV) : 0)) % 10);
  return (data.sign ? "+" : "") + columns[n - 1].SV + digits.reverse().join("");
};

/* S0 … Sn: a carry counts 1, each column directly above that sums to nine counts one more; the longest run. */
const cascade = (columns) => {
  let run = 0;
  let longest = 0;
  for (const column of columns) {
    run = column.SC === "1" ? 1 : run && column.SS === "1" ? run + 1 : 0;
    longest = Math.max(longest, run);
  }
  return longest;
};

/* ---- columns ---- */

const rowOf = (name, meaning, cells, kind = "") =>
  make("tr", { class: kind }, make("th", { scope: "row", title: meaning }, make("b", {}, name), make("span", {}, meaning)), ...cells);
const cell = (text = "", kind = "") => make("td", { class: kind }, text);

const drawColumns = (a, b, question) => {
  const columns = subtasks(a, b);
  const order = [...columns.keys()].reverse();
  const lead = data.sign ? 2 : 1; /* the sign and the top answer digit have no column of their own */
  const blanks = () => Array.from({ length: lead }, () => cell());
  const digitsOf = (text) => [...blanks(), ...[...text].map((digit) => cell(digit))];
  const meaning = { SA: "sum modulo 10", SC: "makes a carry", SS: "sums to nine", ST: "tri-case", SV: "carry that leaves" };
  const table = $(".columns");
  const head = make("tr", {}, make("th", { scope: "col" }, make("span", { class: "unseen" }, "value")));
  for (const label of answerLabels) head.append(make("th", { scope: "col" }, label));
  const body = make("tbody", {}, rowOf("D", "first number", digitsOf(a)), rowOf("D′", "second number", digitsOf(b)));
  for (const name of Object.keys(meaning)) {
    const cells = order.map((k) => {
      const value = columns[k][name];
      return cell(value, value === "U" ? "undecided" : name !== "SA" && value === "1" ? "on" : "");
    });
    body.append(rowOf(name, meaning[name], [...blanks(), ...cells], name === "SA" ? "rule" : ""));
  }
  const truth = answerOf(columns);
  body.append(rowOf("A", "answer", [...truth].map((digit) => cell(digit)), "rule total"));
  if (question) {
    const said = [...question.predicted];
    body.append(rowOf("", "model says", said.map((digit, i) => cell(digit, digit === truth[i] ? "" : "changed")), "total"));
    body.append(rowOf("", "with probability", question.p.map((p) => cell(percent(p).replace(" %", "%"), "small"))));
  }
  table.replaceChildren(make("thead", {}, head), body);
};

/* ---- nodes ---- */

const layerName = (layer, head) => `L${layer} ${head < 0 ? "MLP" : `H${head}`}`;
const nodeName = ([position, layer, head]) => `P${position}L${layer}${head < 0 ? "M" : `H${head}`}`;
const longName = ([position, layer, head]) =>
  `${nodeName([position, layer, head])} (layer ${layer}, ${head < 0 ? "MLP" : `head ${head}`}, at ${data.labels[position]})`;
const verbs = { mean: "Mean-ablating", zero: "Zero-ablating", pair: "Patching", other: "Patching" };
const partnerOf = (question, mode) => ({ pair: question.partners[0], other: question.partners[1] })[mode];

const effectOf = (question, index) => {
  const effect = question.effects[state.mode];
  const after = effect.changed[index] || question.predicted;
  const changed = [...after].map((_, i) => i).filter((i) => after[i] !== question.predicted[i]);
  const drop = Number(effect.drop.slice(4 * index, 4 * index + 2)) / LEVELS;
  return { after, changed, drop, where: Number(effect.drop.slice(4 * index + 2, 4 * index + 4)) };
};

const describe = (question, index) => {
  const node = data.nodes[index];
  const effect = effectOf(question, index);
  const partner = partnerOf(question, state.mode);
  const start = `${verbs[state.mode]} ${longName(node)}${partner ? ` from ${partner[0]}+${partner[1]}` : ""}`;
  if (effect.changed.length) {
    const steps = effect.changed.map((i) => `${answerLabels[i]} from ${question.predicted[i]} to ${effect.after[i]}`);
    return `${start} changes ${list(steps)}.`;
  }
  const fall = effect.drop < 0.005 ? "No probability falls by more than half a percentage point." :
    `The largest fall in probability is ${Math.round(100 * effect.drop)} percentage points, at ${answerLabels[effect.where]}.`;
  return `${start} changes no answer token. ${fall}`;
};

const drawAnswer = (question) => {
  const effect = effectOf(question, state.node);
  const partner = partnerOf(question, state.mode);
  const line = (name, cells, kind = "") => make("tr", { class: kind }, make("th", { scope: "row" }, name), ...cells);
  const head = make("tr", {}, make("th", { scope: "col" }, make("span", { class: "unseen" }, "run")));
  for (const label of answerLabels) head.append(make("th", { scope: "col" }, label));
  const plain = (text) => [...text].map((digit) => cell(digit));
  const after = [...effect.after].map((digit, i) => cell(digit, effect.changed.includes(i) ? "changed" : ""));
  const body = make("tbody", {}, line("Intact", plain(question.predicted)), line("Node replaced", after, "total"));
  if (partner) body.append(line("Answer of the other question", plain(partner[2])));
  $(".answer").replaceChildren(make("thead", {}, head), body);
};

const rowKeys = [...new Map(data.nodes.map(([, layer, head]) => [`${layer},${head}`, [layer, head]])).values()];
const positions = [...new Set(data.nodes.map(([position]) => position))];
const indexAt = new Map(data.nodes.map(([position, layer, head], index) => [`${position},${layer},${head}`, index]));
const cells = new Map();

const buildNodes = () => {
  const head = make("tr", {}, make("td", { class: "corner", role: "presentation" }));
  for (const position of positions) head.append(make("th", { scope: "col", "data-position": position }, make("b", {}), data.labels[position]));
  const body = make("tbody");
  let above = null;
  for (const [layer, kind] of rowKeys) {
    const row = make("tr", { class: above !== null && above !== layer ? "layer" : "" }, make("th", { scope: "row" }, layerName(layer, kind)));
    above = layer;
    for (const position of positions) {
      const index = indexAt.get(`${position},${layer},${kind}`);
      const spot = make("td", { role: "gridcell", tabindex: "-1" });
      if (index !== undefined) {
        cells.set(index, spot);
        spot.addEventListener("click", () => chooseNode(index, true));
      }
      row.append(spot);
    }
    body.append(row);
  }
  $(".nodes").replaceChildren(make("thead", {}, head), body);
  $(".nodes").addEventListener("keydown", moveInGrid);
};

const moveInGrid = (event) => {
  const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1], Home: [-99, 0], End: [99, 0] }[event.key];
  if (!step || event.ctrlKey || event.altKey || event.metaKey) return;
  event.preventDefault();
  const [position, layer, kind] = data.nodes[state.node];
  const clamp = (value, length) => Math.min(Math.max(value, 0), length - 1);
  const column = clamp(positions.indexOf(position) + step[0], positions.length);
  const row = clamp(rowKeys.findIndex(([l, h]) => l === layer && h === kind) + step[1], rowKeys.length);
  const index = indexAt.get(`${positions[column]},${rowKeys[row].join(",")}`);
  if (index !== undefined) chooseNode(index, true);
};

const drawNodes = (question) => {
  for (const [index, spot] of cells) {
    const effect = effectOf(question, index);
    const count = effect.changed.length;
    spot.className = count ? "changed" : "";
    spot.textContent = count || "";
    spot.style.setProperty("--fall", count ? 0 : (0.75 * effect.drop).toFixed(2));
    spot.setAttribute("aria-selected", String(index === state.node));
    spot.tabIndex = index === state.node ? 0 : -1;
    const what = count ? `${count} changed` : `none changed, fall ${Math.round(100 * effect.drop)} points`;
    spot.setAttribute("aria-label", `${longName(data.nodes[index])}: ${what}`);
  }
  for (const header of root.querySelectorAll(".nodes [data-position]")) header.firstChild.textContent = question.tokens[header.dataset.position];
  $(".result").textContent = describe(question, state.node);
  drawAnswer(question);
};

const chooseNode = (index, focus = false) => {
  state.node = index;
  const [, layer, head] = data.nodes[index];
  if (head >= 0) state.head = layer * data.heads + head;
  drawModel();
  if (focus) cells.get(index).focus({ preventScroll: false });
};

/* ---- attention ---- */

const pattern = (question, head) => {
  const text = question.attention[head];
  let at = 0;
  return data.rows.map((row) => Array.from({ length: row + 1 }, () => Number(text.slice(at, (at += 2))) / LEVELS));
};

const cellsOf = (rows, width, height, left = 0, top = 0) => {
  const drawn = [];
  rows.forEach((row, y) =>
    row.forEach((p, x) => {
      if (p >= 0.02) drawn.push(make("rect", { class: "cell", x: left + x * width, y: top + y * height, width, height, "fill-opacity": p.toFixed(2) }));
    }),
  );
  return drawn;
};

const strongest = (question, head, rowIndex) => {
  const row = pattern(question, head)[rowIndex].map((p, position) => [p, position]).sort((x, y) => y[0] - x[0]);
  const top = row.filter(([p]) => p >= 0.1).slice(0, 4);
  return list(top.map(([p, position]) => `${data.labels[position]} ${Math.round(100 * p)} %`)) || "no token by 10 % or more";
};

const drawThumbs = (question) => {
  const width = data.labels.length;
  const buttons = Array.from({ length: data.layers * data.heads }, (_, head) => {
    const name = `Layer ${Math.floor(head / data.heads)}, head ${head % data.heads}`;
    const picture = make("svg", { viewBox: `0 0 ${width} ${data.rows.length}`, "aria-hidden": "true" }, ...cellsOf(pattern(question, head), 1, 1));
    const button = make("button", { type: "button", "aria-pressed": String(head === state.head) }, name, picture);
    button.addEventListener("click", () => {
      state.head = head;
      drawModel();
      $(".thumbs").children[head].focus();
    });
    return button;
  });
  $(".thumbs").replaceChildren(...buttons);
};

const drawPattern = (question) => {
  const [left, top, width, height] = [34, 34, 24, 17];
  const rows = pattern(question, state.head);
  const right = left + width * data.labels.length;
  const svg = $(".pattern");
  const parts = [make("rect", { class: "field-of", x: left, y: top, width: right - left, height: height * rows.length })];
  data.labels.forEach((label, x) => {
    const middle = left + (x + 0.5) * width;
    parts.push(make("text", { class: "token", x: middle, y: 12, "text-anchor": "middle" }, question.tokens[x] || ""));
    parts.push(make("text", { x: middle, y: 27, "text-anchor": "middle" }, label));
  });
  data.rows.forEach((row, y) => parts.push(make("text", { x: left - 5, y: top + (y + 0.72) * height, "text-anchor": "end" }, data.labels[row])));
  parts.push(...cellsOf(rows, width, height, left, top));
  const [position] = data.nodes[state.node];
  const chosen = data.rows.indexOf(position);
  if (chosen >= 0) parts.push(make("rect", { class: "row-mark", x: left, y: top + chosen * height, width: right - left, height }));
  const layer = Math.floor(state.head / data.heads);
  const head = state.head % data.heads;
  data.rows.forEach((row, y) => {
    const hit = make("rect", { class: "hit", x: left, y: top + y * height, width: right - left, height });
    const index = indexAt.get(`${row},${layer},${head}`);
    if (index !== undefined) hit.addEventListener("click", () => chooseNode(index));
    parts.push(hit);
  });
  svg.setAttribute("viewBox", `0 0 ${right + 2} ${top + height * rows.length + 3}`);
  const words = chosen < 0 ? "" : `At ${data.labels[position]}, layer ${layer} head ${head} attends to ${strongest(question, state.head, chosen)}.`;
  svg.setAttribute("aria-label", `Attention pattern of layer ${layer}, head ${head}, ${rows.length} positions by ${data.labels.length}. ${words}`);
  svg.replaceChildren(...parts);
  $(".attends").textContent = words;
};

/* ---- the question ---- */

const drawModel = () => {
  drawNodes(state.question);
  drawThumbs(state.question);
  drawPattern(state.question);
};

const drawModes = (question) => {
  const words = {
    mean: ["its mean over other questions"],
    zero: ["zero"],
    pair: ["its value on", question.partners[0]],
    other: ["its value on", question.partners[1]],
  };
  const labels = data.modes.map((mode) => {
    const [text, partner] = words[mode];
    const input = make("input", { type: "radio", name: "mode", value: mode, checked: mode === state.mode });
    input.addEventListener("change", () => {
      state.mode = mode;
      drawModel();
    });
    const rest = partner ? [make("span", { class: "digits" }, `${partner[0]}+${partner[1]}`)] : [];
    return make("label", {}, input, make("span", {}, text), ...rest);
  });
  $(".modes").replaceChildren($(".modes legend"), ...labels);
};

const say = (text, fault = false) => {
  $(".message").textContent = text;
  $(".message").classList.toggle("fault", fault);
};

const fault = (a, b) => {
  for (const [name, text] of [["first", a], ["second", b]]) {
    if (!/^[0-9]+$/.test(text)) return `The ${name} number has to be a whole number, written with the digits 0 to 9; this is "${text}".`;
    if (text.length > n) return `The ${name} number has ${text.length} digits; ${data.name} adds numbers of at most ${n}.`;
  }
  return "";
};

const nearestTo = (level) => {
  const distance = (item) => Math.abs(Number(item.class.slice(1)) - level);
  return data.questions.reduce((best, item) => (distance(item) < distance(best) ? item : best));
};

const show = (a, b) => {
  const question = data.questions.find((item) => item.first === a && item.second === b) || null;
  const level = cascade(subtasks(a, b));
  first.value = a;
  second.value = b;
  listed.value = question ? String(data.questions.indexOf(question)) : "";
  state.question = question;
  drawColumns(a, b, question);
  $(".model").hidden = !question;
  $(".nearest").hidden = Boolean(question);
  if (question) {
    const verdict = question.predicted === question.answer ? "right" : `wrong, it says ${question.predicted}`;
    say(`${a}+${b} is of class S${level}. ${data.name} is ${verdict}.`);
    drawModes(question);
    drawModel();
  } else {
    const near = nearestTo(level);
    say(`${a}+${b} is of class S${level}. The sub-tasks below are arithmetic and hold for any numbers; what ${data.name} does with this question takes a running kernel.`);
    const button = $(".nearest button");
    button.textContent = `Show the model on ${near.first}+${near.second}, listed, ${Number(near.class.slice(1)) === level ? "of the same class" : `of class ${near.class}`}`;
    button.onclick = () => {
      show(near.first, near.second);
      listed.focus();
    };
  }
};

$(".ask").addEventListener("submit", (event) => {
  event.preventDefault();
  const [a, b] = [first.value.trim(), second.value.trim()];
  const problem = fault(a, b);
  first.setAttribute("aria-invalid", String(problem.includes("first")));
  second.setAttribute("aria-invalid", String(problem.includes("second")));
  if (problem) say(problem, true);
  else show(a.padStart(n, "0"), b.padStart(n, "0"));
});
listed.append(make("option", { value: "", disabled: true }, "none of them"));
data.questions.forEach((item, index) => listed.append(make("option", { value: String(index) }, `${item.class}  ${item.first}+${item.second}`)));
listed.addEventListener("change", () => show(data.questions[listed.value].first, data.questions[listed.value].second));
buildNodes();
const opening = data.questions.find((item) => Number(item.class.slice(1)) >= 2) || data.questions[0];
show(opening.first, opening.second);
