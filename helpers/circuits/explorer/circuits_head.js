/* ---- one head: scores, codes, prompts, attention ---- */

const state = {
  task: data.tasks[0],
  method: 0,
  step: 0,
  mode: "best",
  mask: 0,
  head: 0,
  code: 0,
  text: 0,
};

const drawRanks = () => {
  const { task, head } = state;
  const head_ = make(
    "tr",
    {},
    ...["Score by", "value", `rank of ${task.heads.length}`].map((text) =>
      make("th", { scope: "col" }, text),
    ),
  );
  const rows = [task.shapley, ...task.methods].map((method, i) =>
    make(
      "tr",
      { class: i === state.method + 1 && "chosen" },
      make("th", { scope: "row" }, i ? method.name : "Shapley value (exact)"),
      make("td", {}, scored(method.scores[head])),
      make("td", {}, method.ranks[head]),
    ),
  );
  $(".ranks").replaceChildren(make("thead", {}, head_), make("tbody", {}, ...rows));
};

const drawCodes = () => {
  const { shown, rest, own, all, prompts } = state.task.codes[state.head];
  const bar = (kind, count, total) =>
    make(
      "td",
      { class: `count ${kind}` },
      make(
        "span",
        { class: count ? "bar" : "bar none", style: `--share: ${total ? count / total : 0}` },
        String(count),
      ),
    );
  const row = ([code, clean, twins], i) => {
    const button = make(
      "button",
      {
        type: "button",
        "aria-pressed": String(i === state.code),
        "aria-label": code < 0 ? "no code" : `code ${code}`,
      },
      code < 0 ? "none" : String(code),
    );
    button.addEventListener("click", () => chooseCode(i));
    return make(
      "tr",
      {},
      make("th", { scope: "row" }, button),
      bar("clean", clean, prompts[0]),
      bar("twins", twins, prompts[1]),
      make(
        "td",
        { class: "only" },
        code < 0
          ? "no latent active"
          : clean && twins
            ? ""
            : clean
              ? "only on prompts"
              : "only on twins",
      ),
    );
  };
  const rows = shown.map(row);
  if (rest[0])
    rows.push(
      make(
        "tr",
        {},
        make("th", { scope: "row" }, `${rest[0]} more`),
        bar("clean", rest[1], prompts[0]),
        bar("twins", rest[2], prompts[1]),
        make("td"),
      ),
    );
  const named = ["Code", `on ${prompts[0]} prompts`, `on ${prompts[1]} twins`].map((text) =>
    make("th", { scope: "col" }, text),
  );
  $(".codes").replaceChildren(
    make("thead", {}, make("tr", {}, ...named, make("td"))),
    make("tbody", {}, ...rows),
  );
  $(".codes").closest(".scroll").hidden = !shown.length;
  $(".own").textContent = all
    ? `${own} of the ${all === 1 ? "1 code" : `${all} codes`} that it shows occur on prompts only, never on their twins.`
    : "It shows no code.";
};

const drawPrompts = () => {
  const { task } = state;
  const chosen = task.codes[state.head].shown[state.code];
  const texts = chosen ? chosen[3] : [];
  const named = chosen && (chosen[0] < 0 ? "has no code" : `shows code ${chosen[0]}`);
  const counts = [
    texts.filter((text) => text < task.half).length,
    texts.filter((text) => text >= task.half).length,
  ];
  $(".lit").textContent = chosen
    ? `${task.names[state.head]} ${named} on ${counts[0]} of the ${task.half} prompts and ${counts[1]} of the ${task.half} twins on this page${texts.length ? ":" : "."}`
    : "";
  $(".prompts").replaceChildren(
    ...texts.map((text) => {
      const button = make(
        "button",
        { type: "button", "data-text": text },
        make("b", {}, `${nameOf(task, text)}: `),
        task.texts[text].join(" "),
      );
      button.addEventListener("click", () => chooseText(text));
      return make("li", {}, button);
    }),
  );
};

const drawAttention = () => {
  const { task, head, text } = state;
  const [words, other, row] = [task.texts[text], twinOf(task, text), attentionOf(task, head, text)];
  $(".words").replaceChildren(
    ...words.map((word, i) =>
      make(
        "li",
        { style: `--height: ${((0.45 * row[i]) / 100).toFixed(3)}` },
        make("span", { class: word !== other[i] && "differs" }, word),
        " ",
        make("small", {}, fixed(row[i] / 100).replace(/^0/, "")),
      ),
    ),
  );
  const top = [...row.keys()]
    .sort((a, b) => row[b] - row[a])
    .filter((i) => row[i] >= 10)
    .slice(0, 4);
  const parts = top.map((i) => `“${words[i]}” (word ${i + 1}) ${fixed(row[i] / 100)}`);
  $(".attends").textContent =
    `From “${words.at(-1)}”, the last word of ${nameOf(task, text)}, ${task.names[head]} attends to ${list(parts) || "no word by 0.10 or more"}.`;
  for (const button of root.querySelectorAll(".prompts button"))
    button.setAttribute("aria-pressed", String(Number(button.dataset.text) === text));
  $(".text").value = String(text);
};

const describe = () => {
  const { task, head } = state;
  const [method, { shapley }] = [task.methods[state.method], task];
  const kind = (task.true >> head) & 1 ? "a true head" : "not a true head";
  return `${task.names[head]} is ${kind}. Shapley value ${scored(shapley.scores[head])}, rank ${shapley.ranks[head]} of ${task.heads.length}; by ${method.name} ${scored(method.scores[head])}, rank ${method.ranks[head]}.`;
};

const drawHead = () => {
  $("#head-title").textContent = `Head ${state.task.names[state.head]}`;
  if ($(".told").textContent !== describe()) $(".told").textContent = describe();
  drawRanks();
  drawCodes();
  drawPrompts();
  drawAttention();
};

/* A head begins with its first code that a text of the page shows. */
const setHead = (i) => {
  state.head = i;
  state.code = Math.max(
    0,
    state.task.codes[i].shown.findIndex(([, , , texts]) => texts.length),
  );
};

const chooseCode = (i) => {
  state.code = i;
  root
    .querySelectorAll(".codes button")
    .forEach((button, j) => button.setAttribute("aria-pressed", String(i === j)));
  drawPrompts();
  drawAttention();
};

const chooseText = (text) => {
  state.text = text;
  drawAttention();
};

const listTexts = () => {
  const { task } = state;
  $(".text").replaceChildren(
    ...task.texts.map((words, text) =>
      make("option", { value: text }, `${nameOf(task, text)}: ${words.join(" ")}`),
    ),
  );
};
