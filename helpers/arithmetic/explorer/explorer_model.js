/* ---- nodes ---- */

const layerName = (layer, head) => `L${layer} ${head < 0 ? "MLP" : `H${head}`}`;
const nodeName = ([position, layer, head]) => `P${position}L${layer}${head < 0 ? "M" : `H${head}`}`;
const longName = ([position, layer, head]) =>
  `${nodeName([position, layer, head])} (layer ${layer}, ${head < 0 ? "MLP" : `head ${head}`}, at ${data.labels[position]})`;
const verbs = { mean: "Mean-ablating", zero: "Zero-ablating", pair: "Patching", other: "Patching" };
const partnerOf = (question, mode) =>
  ({ pair: question.partners[0], other: question.partners[1] })[mode];

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
    const steps = effect.changed.map(
      (i) => `${answerLabels[i]} from ${question.predicted[i]} to ${effect.after[i]}`,
    );
    return `${start} changes ${list(steps)}.`;
  }
  const fall =
    effect.drop < 0.005
      ? "No probability falls by more than half a percentage point."
      : `The largest fall in probability is ${Math.round(100 * effect.drop)} percentage points, at ${answerLabels[effect.where]}.`;
  return `${start} changes no answer token. ${fall}`;
};

const drawAnswer = (question) => {
  const effect = effectOf(question, state.node);
  const partner = partnerOf(question, state.mode);
  const line = (name, cells, kind = "") =>
    make("tr", { class: kind }, make("th", { scope: "row" }, name), ...cells);
  const head = make(
    "tr",
    {},
    make("th", { scope: "col" }, make("span", { class: "unseen" }, "run")),
  );
  for (const label of answerLabels) head.append(make("th", { scope: "col" }, label));
  const plain = (text) => [...text].map((digit) => cell(digit));
  const after = [...effect.after].map((digit, i) =>
    cell(digit, effect.changed.includes(i) ? "changed" : ""),
  );
  const body = make(
    "tbody",
    {},
    line("Intact", plain(question.predicted)),
    line("Node replaced", after, "total"),
  );
  if (partner) body.append(line("Answer of the other question", plain(partner[2])));
  $(".answer").replaceChildren(make("thead", {}, head), body);
};

const rowKeys = [
  ...new Map(data.nodes.map(([, layer, head]) => [`${layer},${head}`, [layer, head]])).values(),
];
const positions = [...new Set(data.nodes.map(([position]) => position))];
const indexAt = new Map(
  data.nodes.map(([position, layer, head], index) => [`${position},${layer},${head}`, index]),
);
const cells = new Map();

const buildNodes = () => {
  const head = make("tr", {}, make("td"));
  for (const position of positions)
    head.append(
      make("th", { scope: "col", "data-position": position }, make("b", {}), data.labels[position]),
    );
  const bodies = Array.from({ length: data.layers }, () => make("tbody"));
  for (const [layer, kind] of rowKeys) {
    const row = make("tr", {}, make("th", { scope: "row" }, layerName(layer, kind)));
    for (const position of positions) {
      const index = indexAt.get(`${position},${layer},${kind}`);
      const spot = make("td", { role: "gridcell", tabindex: "-1" });
      if (index !== undefined) {
        cells.set(index, spot);
        spot.addEventListener("click", () => chooseNode(index, true));
      }
      row.append(spot);
    }
    bodies[layer].append(row);
  }
  $(".nodes").replaceChildren(make("thead", {}, head), ...bodies);
  $(".nodes").addEventListener("keydown", moveInGrid);
};

const moveInGrid = (event) => {
  const step = gridStep(event);
  if (!step) return;
  const [position, layer, kind] = data.nodes[state.node];
  const column = clamp(positions.indexOf(position) + step[0], positions.length);
  const row = clamp(
    rowKeys.findIndex(([l, h]) => l === layer && h === kind) + step[1],
    rowKeys.length,
  );
  const index = indexAt.get(`${positions[column]},${rowKeys[row].join(",")}`);
  if (index !== undefined) chooseNode(index, true);
};

const headOf = (index) => {
  const [, layer, head] = data.nodes[index];
  return head < 0
    ? undefined
    : layer * data.heads + head; /* an MLP has no attention: the last head stays in view */
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
    const what = count
      ? `${count} changed`
      : `none changed, fall ${Math.round(100 * effect.drop)} points`;
    spot.setAttribute("aria-label", `${longName(data.nodes[index])}: ${what}`);
  }
  for (const header of root.querySelectorAll(".nodes [data-position]"))
    header.firstChild.textContent = question.tokens[header.dataset.position];
  $(".result").textContent = describe(question, state.node);
  drawAnswer(question);
};

const chooseNode = (index, focus = false) => {
  state.node = index;
  state.head = headOf(index) ?? state.head;
  drawModel();
  if (focus) cells.get(index).focus({ preventScroll: false });
};

/* ---- attention ---- */

const keys = data.labels.slice(0, -1); /* the last token is predicted, never read */

const pattern = (question, head) => {
  const text = question.attention[head];
  let at = 0;
  return data.rows.map((row) =>
    Array.from({ length: row + 1 }, () => Number(text.slice(at, (at += 2))) / LEVELS),
  );
};

const cellsOf = (rows, width, height, left = 0, top = 0) => {
  const drawn = [];
  rows.forEach((row, y) =>
    row.forEach((p, x) => {
      if (p >= 0.02)
        drawn.push(
          make("rect", {
            class: "cell",
            x: left + x * width,
            y: top + y * height,
            width,
            height,
            "fill-opacity": p.toFixed(2),
          }),
        );
    }),
  );
  return drawn;
};

const strongest = (question, head, rowIndex) => {
  const row = pattern(question, head)
    [rowIndex].map((p, position) => [p, position])
    .sort((x, y) => y[0] - x[0]);
  const top = row.filter(([p]) => p >= 0.1).slice(0, 4);
  return (
    list(top.map(([p, position]) => `${data.labels[position]} ${Math.round(100 * p)} %`)) ||
    "no token by 10 % or more"
  );
};

const drawThumbs = (question) => {
  const width = keys.length;
  const buttons = Array.from({ length: data.layers * data.heads }, (_, head) => {
    const name = layerName(Math.floor(head / data.heads), head % data.heads);
    const picture = make(
      "svg",
      { viewBox: `0 0 ${width} ${data.rows.length}`, "aria-hidden": "true" },
      ...cellsOf(pattern(question, head), 1, 1),
    );
    const button = make(
      "button",
      { type: "button", "aria-pressed": String(head === state.head) },
      name,
      picture,
    );
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
  const right = left + width * keys.length;
  const svg = $(".pattern");
  const parts = [
    make("rect", {
      class: "field-of",
      x: left,
      y: top,
      width: right - left,
      height: height * rows.length,
    }),
  ];
  keys.forEach((label, x) => {
    const middle = left + (x + 0.5) * width;
    parts.push(
      make(
        "text",
        { class: "token", x: middle, y: 12, "text-anchor": "middle" },
        question.tokens[x],
      ),
    );
    parts.push(make("text", { x: middle, y: 27, "text-anchor": "middle" }, label));
  });
  data.rows.forEach((row, y) =>
    parts.push(
      make(
        "text",
        { x: left - 5, y: top + (y + 0.72) * height, "text-anchor": "end" },
        data.labels[row],
      ),
    ),
  );
  parts.push(...cellsOf(rows, width, height, left, top));
  const [position] = data.nodes[state.node];
  const chosen = data.rows.indexOf(position);
  if (chosen >= 0)
    parts.push(
      make("rect", {
        class: "row-mark",
        x: left,
        y: top + chosen * height,
        width: right - left,
        height,
      }),
    );
  const layer = Math.floor(state.head / data.heads);
  const head = state.head % data.heads;
  data.rows.forEach((row, y) => {
    const hit = make("rect", {
      class: "hit",
      x: left,
      y: top + y * height,
      width: right - left,
      height,
    });
    const index = indexAt.get(`${row},${layer},${head}`);
    if (index !== undefined) hit.addEventListener("click", () => chooseNode(index));
    parts.push(hit);
  });
  svg.setAttribute("viewBox", `0 0 ${right + 2} ${top + height * rows.length + 3}`);
  const words =
    chosen < 0
      ? ""
      : `At ${data.labels[position]}, layer ${layer} head ${head} attends to ${strongest(question, state.head, chosen)}.`;
  svg.setAttribute(
    "aria-label",
    `Attention pattern of layer ${layer}, head ${head}, ${rows.length} positions by ${keys.length}. ${words}`,
  );
  svg.replaceChildren(...parts);
  $(".attends").textContent = words;
};
