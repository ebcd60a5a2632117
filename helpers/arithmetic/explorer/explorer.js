/* ---- the question ---- */

const drawModel = () => {
  drawNodes(state.question);
  drawThumbs(state.question);
  drawPattern(state.question);
};

const drawModes = (question) => {
  const words = {
    mean: [`its mean over ${data.reference} random questions`],
    zero: ["zero"],
    pair: ["its value on", question.partners[0]],
    other: ["its value on", question.partners[1]],
  };
  const labels = data.modes.map((mode) => {
    const [text, partner] = words[mode];
    const input = make("input", {
      type: "radio",
      name: "mode",
      value: mode,
      checked: mode === state.mode,
    });
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
  for (const [name, text] of [
    ["first", a],
    ["second", b],
  ]) {
    if (!/^[0-9]+$/.test(text))
      return `The ${name} number has to be a whole number, written with the digits 0 to 9; this is "${text}".`;
    if (text.length > n)
      return `The ${name} number has ${text.length} digits; ${data.name} adds numbers of at most ${n}.`;
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
    const verdict =
      question.predicted === question.answer
        ? "which is right"
        : `where ${question.answer} is right`;
    say(`${a}+${b} is of class S${level}. ${data.name} answers ${question.predicted}, ${verdict}.`);
    drawModes(question);
    drawModel();
  } else {
    const near = nearestTo(level);
    say(
      `${a}+${b} is of class S${level}. The sub-tasks below are arithmetic and hold for any numbers; what ${data.name} does with this question takes a running kernel.`,
    );
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
data.questions.forEach((item, index) =>
  listed.append(
    make("option", { value: String(index) }, `${item.class}  ${item.first}+${item.second}`),
  ),
);
listed.addEventListener("change", () =>
  show(data.questions[listed.value].first, data.questions[listed.value].second),
);
buildNodes();
const opening =
  data.questions.find((item) => Number(item.class.slice(1)) >= 2) || data.questions[0];
const needed = Object.keys(opening.effects[state.mode].changed).map(Number);
state.node = needed.find((index) => data.nodes[index][2] >= 0) ?? needed[0] ?? 0;
state.head = headOf(state.node) ?? 0;
show(opening.first, opening.second);
