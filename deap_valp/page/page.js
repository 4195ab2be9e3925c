"use strict";
(() => {
  const SVG = "http://www.w3.org/2000/svg";
  const all = PAGE.candidates;
  const COLOURS = ["#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#332288",
    "#882255", "#999933", "#661100", "#AA4499", "#117733"];
  const aside = document.getElementById("candidate");
  const rowOf = [];
  let chosen = null;
  let source = null;

  // ---- elements: text is always text, whatever it holds

  function element(tag, options = {}, ...children) {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(options)) {
      if (name === "onclick") made.addEventListener("click", value);
      else if (value === true) made.setAttribute(name, "");
      else if (value !== false && value != null) made.setAttribute(name, value);
    }
    made.append(...children.filter((child) => child != null));
    return made;
  }

  function drawn(tag, attributes, ...children) {
    const made = document.createElementNS(SVG, tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    made.append(...children);
    return made;
  }

  function number(value, digits = 4) {
    if (value === null || value === undefined) return "";
    return String(Number(value.toPrecision(digits)));
  }

  function table(head, rows, name = "") {
    const header = element("tr", {}, ...head.map((cell) => element("th", {}, cell)));
    const body = rows.map((cells) =>
      element("tr", {}, ...cells.map((cell) => (cell instanceof HTMLTableCellElement
        ? cell : element("td", {}, cell)))));
    const made = element("table", { class: name }, element("thead", {}, header),
      element("tbody", {}, ...body));
    return element("div", { class: "wide" }, made);  // it scrolls where it has no room
  }

  function link(candidate, text) {
    return element("button", { type: "button", class: "link", "data-candidate": candidate,
      onclick: () => choose(candidate) }, text ?? `${candidate}`);
  }

  // ---- who was made of whom

  function way(candidate) {
    const found = [];
    for (let at = candidate; at !== null; at = all[at].host) found.unshift(at);
    return found;
  }

  const children = all.map(() => []);
  for (const each of all) {
    for (const parent of [each.host, ...each.donors]) {
      if (parent !== null) children[parent].push(each.number);
    }
  }

  // ---- the panel of a candidate

  function section(heading, ...content) {
    return content.some((part) => part)
      ? [element("h3", {}, heading), ...content.filter((part) => part)] : [];
  }

  function heading(candidate) {
    const tag = (text, kind = "") => element("span", { class: `tag ${kind}` }, text);
    const tags = element("p", {}, tag(candidate.accepted ? "accepted" : "not accepted",
      candidate.accepted ? "good" : ""));
    if (candidate.front) tags.append(tag("in the Pareto front", "front"));
    if (candidate.status !== "ok") tags.append(tag(`failed: ${candidate.status}`, "bad"));
    const turn = (by, text) => element("button", { type: "button", class: "turn",
      disabled: !all[candidate.number + by],
      onclick: () => choose(candidate.number + by) }, text);
    const words = `step ${candidate.step}, ${candidate.weights.toLocaleString("en")} weights` +
      (candidate.seconds ? `, ${number(candidate.seconds, 3)} s` : "");
    return [element("h2", {}, `Candidate ${candidate.number}`), tags,
      element("p", { class: "faint" }, words), turn(-1, "previous"), " ", turn(1, "next")];
  }

  function made(candidate) {
    const rows = [["made by", candidate.applied]];
    const move = candidate.move;
    if (move) {
      rows.push(["place", move.place], ["version", move.version]);
      if (move.rule) rows.push(["rule", move.rule]);
      if (move.reason) rows.push(["why", move.reason]);
    }
    const promised = [];
    if (candidate.predicted != null) promised.push(`promised ${number(candidate.predicted, 3)}`);
    if (candidate.achieved != null) promised.push(`achieved ${number(candidate.achieved, 3)}`);
    if (promised.length) rows.push(["fall of the loss", promised.join(", ")]);
    if (candidate.host !== null) rows.push(["of candidate", link(candidate.host)]);
    for (const donor of candidate.donors) rows.push(["donor", link(donor)]);
    if (children[candidate.number].length) {
      const cell = element("span", {});
      children[candidate.number].forEach((child) => cell.append(link(child), " "));
      rows.push(["its children", cell]);
    }
    return table(["", ""], rows, "made");
  }

  function objectives(candidate) {
    const host = candidate.host === null ? null : all[candidate.host];
    const rows = PAGE.labels.map((label, index) => {
      const value = candidate.values[index];
      const before = host === null ? null : host.values[index];
      let change = "";
      if (before !== null && value !== null && before !== 0) {
        const percent = (100 * (before - value)) / Math.abs(before);
        change = `${number(Math.abs(percent), 3)} % ${percent < 0 ? "worse" : "better"}`;
        if (percent === 0) change = "the same";
      }
      return [label, value === null ? "failed" : number(value), number(before), change];
    });
    return table(["objective", "value", "before", ""], rows);
  }

  function graph(candidate) {
    if (!candidate.svg) return element("p", { class: "faint" },
      `Not in this file, which has the graphs of ${PAGE.drawn} candidates.`);
    const frame = element("div", { class: "graph" });
    frame.innerHTML = candidate.svg; // all names in it were escaped when it was made
    return frame;
  }

  // ---- losses of all sessions

  function losses(candidate) {
    const outputs = [...new Set(way(candidate.number).flatMap((at) =>
      Object.keys(all[at].history ?? {})))];
    const lines = Object.fromEntries(outputs.map((output) => [output, []]));
    const borders = [];
    let end = 0;
    for (const at of way(candidate.number)) {
      const session = all[at];
      if (!session.batches) continue;
      for (const [output, values] of Object.entries(session.history)) {
        const points = values.map((value, index) =>
          [end + ((index + 0.5) * session.batches) / values.length, value]);
        lines[output].push(points.filter((point) => point[1] !== null));
      }
      end += session.batches;
      borders.push([end, at]);
    }
    const values = Object.values(lines).flat(2).map((point) => point[1]);
    if (!values.length) return null;
    return curves(outputs, lines, borders, end, values);
  }

  function curves(outputs, lines, borders, end, values) {
    const width = 560, height = 230, left = 46, bottom = 34, top = 10, right = 8;
    const log = Math.min(...values) > 0;
    const scale = (value) => (log ? Math.log10(value) : value);
    let low = scale(Math.min(...values)), high = scale(Math.max(...values));
    if (high - low < 1e-9) [low, high] = [low - 0.5, high + 0.5];
    const x = (batch) => left + ((width - left - right) * batch) / end;
    const y = (value) => top + (height - top - bottom) * (1 - (scale(value) - low) / (high - low));
    const plot = drawn("svg", { viewBox: `0 0 ${width} ${height}`, width: "100%", class: "losses",
      "font-size": 10, "font-family": "sans-serif", role: "img" });
    for (const tick of ticks(low, high)) {
      const value = log ? 10 ** tick : tick;
      plot.append(
        drawn("line", { x1: left, x2: width - right, y1: y(value), y2: y(value), stroke: "#e4e4e4" }),
        drawn("text", { x: left - 5, y: y(value) + 3, "text-anchor": "end" }, number(value, 2)));
    }
    for (const [border] of borders.slice(0, -1)) {
      plot.append(drawn("line", { x1: x(border), x2: x(border), y1: top, y2: height - bottom,
        stroke: "#ccc" }));
    }
    outputs.forEach((output, index) => {
      for (const session of lines[output]) {
        const points = session.map(([batch, value]) => `${x(batch).toFixed(1)},${y(value).toFixed(1)}`);
        plot.append(drawn("polyline", { points: points.join(" "), fill: "none",
          stroke: COLOURS[index % COLOURS.length], "stroke-width": 1.5 }));
      }
    });
    plot.append(
      drawn("text", { x: (left + width) / 2, y: height - 6, "text-anchor": "middle" },
        "training batch, all sessions of the way here"),
      drawn("text", { x: left, y: height - bottom + 13, "text-anchor": "middle" }, "0"),
      drawn("text", { x: width - right, y: height - bottom + 13, "text-anchor": "end" },
        end.toLocaleString("en")));
    const caption = element("figcaption", {});
    outputs.forEach((output, index) => {
      const swatch = element("span", { style: `color:${COLOURS[index % COLOURS.length]}` }, "\u25CF ");
      caption.append(swatch, output, " \u00a0 ");
    });
    caption.append(`${borders.length} sessions`);
    return element("figure", { style: "margin:0" }, plot, caption);
  }

  function ticks(low, high) {
    const step = [0.1, 0.2, 0.5, 1, 2, 5, 10, 50, 100, 1e3, 1e4].find((each) => (high - low) / each <= 5)
      ?? (high - low) / 4;
    const found = [];
    for (let at = Math.ceil(low / step) * step; at <= high + 1e-9; at += step) found.push(at);
    return found;
  }

  // ---- samples

  function picture(shown, caption) {
    const figure = element("figure", {});
    if (shown.image) figure.append(element("img", { src: shown.image, alt: caption }));
    else {
      const plot = drawn("svg", { viewBox: "0 0 220 130", width: 220, height: 130 });
      const last = Math.max(1, shown.lines[0].length - 1);
      for (const line of shown.lines) {
        const points = line.map((value, at) =>
          `${(5 + (210 * at) / last).toFixed(1)},${(120 - 110 * Math.min(1.05, Math.max(-0.05, value))).toFixed(1)}`);
        plot.append(line.length > 1
          ? drawn("polyline", { points: points.join(" "), fill: "none", stroke: "#0072B2",
            "stroke-opacity": 0.45 })
          : drawn("circle", { cx: 110, cy: points[0].split(",")[1], r: 3, fill: "#0072B2",
            "fill-opacity": 0.45 }));
      }
      figure.append(plot);
    }
    figure.append(element("figcaption", {}, caption));
    return figure;
  }

  function samples(candidate) {
    if (!Object.keys(PAGE.real).length) return null;
    if (!candidate.samples) return element("p", { class: "faint" },
      `Samples need weights, which an archive does not keep: ${PAGE.sampled} individuals were given.`);
    const pairs = Object.entries(candidate.samples).map(([output, shown]) =>
      element("div", { class: "pair" }, picture(shown, `${output}: generated`),
        picture(PAGE.real[output], `${output}: real`)));
    return element("div", {}, ...pairs);
  }

  // ---- diagnosis: the table of the archive, coloured by what its numbers mean

  function diagnosis(candidate) {
    if (!candidate.diagnosis) return null;
    const [head, ...lines] = candidate.diagnosis.split("\n");
    const starts = [...head.matchAll(/\S+/g)].map((match) => match.index);
    const cut = (line) => [line.slice(0, starts[0]), ...starts.map((start, at) =>
      line.slice(start, starts[at + 1] ?? line.length))].map((cell) => cell.trim());
    const rows = lines.map((line) => {
      const [name, ...cells] = cut(line);
      return [name.replaceAll("_", " "), ...cells.map((cell) => coloured(name, cell))];
    });
    return table(cut(head), rows, "diagnosis");
  }

  function coloured(name, cell) {
    const made = element("td", {}, cell);
    const value = parseFloat(cell);
    if (Number.isNaN(value)) return made;
    let strength = 0;
    if (/^(module|input)_intervention/.test(name)) strength = Math.log10(Math.max(1, value));
    if (/_potential/.test(name)) strength = value / 100;
    if (/^connection_intervention/.test(name)) strength = value < 0 ? -0.6 : Math.min(1, value);
    const shade = Math.min(0.55, 0.6 * Math.abs(strength)).toFixed(2);
    if (Math.abs(strength) > 0.01) {
      made.style.background = strength < 0 ? `rgba(213,94,0,${shade})` : `rgba(0,114,178,${shade})`;
    }
    return made;
  }

  function wayHere(candidate) {
    const steps = way(candidate.number);
    if (steps.length < 2) return null;
    const rows = steps.map((at) => [link(at), String(all[at].step),
      all[at].applied + (all[at].move ? ` (${all[at].move.place})` : ""),
      ...all[at].values.map((value) => number(value))]);
    const body = table(["", "step", "made by", ...PAGE.objectives], rows, "way");
    return element("details", {}, element("summary", {}, `${steps.length} candidates`), body);
  }

  function show(candidate) {
    aside.replaceChildren(...heading(candidate), ...section("Objectives", objectives(candidate)),
      ...section("How it was made", made(candidate)), ...section("Graph", graph(candidate)),
      ...section("Losses", losses(candidate)), ...section("Samples", samples(candidate)),
      ...section("Diagnosis", diagnosis(candidate)),
      ...section("The way here", wayHere(candidate)));
    aside.dataset.candidate = candidate.number;
    aside.scrollTop = 0;
  }

  // ---- choosing

  function choose(at, fromFigure = false) {
    if (at === chosen || !all[at]) return;
    if (chosen !== null) rowOf[chosen].classList.remove("chosen");
    chosen = at;
    rowOf[at].classList.add("chosen");
    show(all[at]);
    if (source) {
      markWay(at);
      if (!fromFigure || source.selected.indices.length !== 1) source.selected.indices = [at];
    }
    history.replaceState(null, "", `#candidate=${at}`);
  }

  function markWay(at) {
    const steps = way(at);
    const figures = Bokeh.documents[0];
    PAGE.objectives.forEach((_, index) => {
      const x = source.data[`at${index}`], y = source.data[`v${index}`];
      const line = figures.get_model_by_name(`way${index}`);
      line.data = { x: steps.map((each) => x[each]), y: steps.map((each) => y[each]) };
      const pairs = steps.flatMap((each) => all[each].donors.map((donor) => [donor, each]));
      figures.get_model_by_name(`donors${index}`).data = {
        xs: pairs.map((pair) => pair.map((each) => x[each])),
        ys: pairs.map((pair) => pair.map((each) => y[each])),
      };
    });
  }

  function overview() {
    const head = ["", "step", "made by", "place", ...PAGE.objectives, "weights", ""];
    const rows = all.map((each) => [String(each.number), String(each.step), each.applied,
      each.move ? each.move.place : "", ...each.values.map((value) => number(value)),
      each.weights.toLocaleString("en"),
      each.status !== "ok" ? "failed" : each.front ? "front" : each.accepted ? "accepted" : ""]);
    const made = table(head, rows).firstChild;
    [...made.tBodies[0].rows].forEach((row, at) => {
      row.dataset.candidate = at;
      row.tabIndex = 0;
      row.addEventListener("click", () => choose(at));
      row.addEventListener("keydown", (event) => { if (event.key === "Enter") choose(at); });
      rowOf.push(row);
    });
    document.getElementById("table").append(made);
  }

  function tabs() {
    for (const button of document.querySelectorAll(".tabs button")) {
      button.addEventListener("click", () => {
        for (const other of button.parentElement.children) {
          other.classList.toggle("chosen", other === button);
        }
        for (const panel of button.parentElement.parentElement.querySelectorAll(".panel")) {
          panel.hidden = panel.dataset.tab !== button.dataset.tab;
        }
      });
    }
  }

  function connect() {
    const figures = Bokeh.documents[0];
    const found = figures && figures.get_model_by_name("candidates");
    if (!found) { setTimeout(connect, 30); return; }
    source = found;
    source.selected.properties.indices.change.connect(() => {
      const indices = source.selected.indices;
      if (!indices.length) return;
      // Of several under the pointer the one that was accepted last is meant.
      const accepted = indices.filter((at) => all[at].accepted);
      choose((accepted.length ? accepted : indices).at(-1), indices.length === 1);
      if (indices.length > 1) source.selected.indices = [chosen];
    });
    source.selected.indices = [chosen];
    markWay(chosen);
    document.body.dataset.ready = "yes";
  }

  overview();
  tabs();
  const asked = Number(location.hash.replace("#candidate=", "") || NaN);
  choose(all[asked] ? asked : PAGE.first);
  connect();
})();
