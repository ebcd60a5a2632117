const LEVELS = 99; /* probabilities are stored as two digits, 00 to 99 for 0 to 1 */
const n = data.digits;
const answerLabels = data.labels.slice(-(n + 1 + data.sign));
const first = $('input[name="first"]');
const second = $('input[name="second"]');
const listed = $('select[name="listed"]');
const state = { question: null, mode: data.modes[0], node: 0, head: 0 };

const probability = (p) =>
  p > 0.995
    ? ">.99"
    : p < 0.005
      ? "<.01"
      : p.toFixed(2).slice(1); /* never "1.00": no softmax reaches it */

/* ---- arithmetic: the sub-tasks of any two numbers, units first ---- */

const subtasks = (a, b) => {
  const columns = [];
  for (let k = 0; k < n; k++) {
    const sum = Number(a[n - 1 - k]) + Number(b[n - 1 - k]);
    const st = sum >= 10 ? "1" : sum === 9 && k > 0 ? "U" : "0";
    const sv = st === "U" ? columns[k - 1].SV : st;
    columns.push({
      SA: String(sum % 10),
      SC: String(+(sum >= 10)),
      SS: String(+(sum === 9)),
      ST: st,
      SV: sv,
    });
  }
  return columns;
};

const answerOf = (columns) => {
  const digits = columns.map(
    (column, k) => (Number(column.SA) + (k ? Number(columns[k - 1].SV) : 0)) % 10,
  );
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
  make(
    "tr",
    { class: kind },
    make("th", { scope: "row", title: meaning }, make("b", {}, name), make("span", {}, meaning)),
    ...cells,
  );
const cell = (text = "", kind = "") => make("td", { class: kind }, text);

const drawColumns = (a, b, question) => {
  const columns = subtasks(a, b);
  const order = [...columns.keys()].reverse();
  const lead = data.sign
    ? 2
    : 1; /* the sign and the top answer digit have no column of their own */
  const blanks = () => Array.from({ length: lead }, () => cell());
  const digitsOf = (text) => [...blanks(), ...[...text].map((digit) => cell(digit))];
  const meaning = {
    SA: "sum modulo 10",
    SC: "makes a carry",
    SS: "sums to nine",
    ST: "tri-case",
    SV: "carry that leaves",
  };
  const table = $(".columns");
  const head = make("tr", {}, make("th", { scope: "col", class: "corner" }, "column k"));
  for (const label of answerLabels)
    head.append(make("th", { scope: "col" }, label.replace("A", "")));
  const body = make(
    "tbody",
    {},
    rowOf("D", "first number", digitsOf(a)),
    rowOf("D′", "second number", digitsOf(b)),
  );
  for (const name of Object.keys(meaning)) {
    const cells = order.map((k) => {
      const value = columns[k][name];
      return cell(value, value === "U" ? "undecided" : name !== "SA" && value === "1" ? "on" : "");
    });
    body.append(rowOf(name, meaning[name], [...blanks(), ...cells], name === "SA" ? "rule" : ""));
  }
  const truth = answerOf(columns);
  body.append(
    rowOf(
      "A",
      "answer",
      [...truth].map((digit) => cell(digit)),
      "rule total",
    ),
  );
  if (question) {
    const said = [...question.predicted];
    body.append(
      rowOf(
        "Model",
        "its answer",
        said.map((digit, i) => cell(digit, digit === truth[i] ? "" : "changed")),
        "total",
      ),
    );
    body.append(
      rowOf(
        "p",
        "its probability",
        question.p.map((p) => cell(probability(p), "small")),
      ),
    );
  }
  table.replaceChildren(make("thead", {}, head), body);
};
