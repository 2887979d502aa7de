// Draws what `forge graph` says of a plan and of its last build. Needs nothing but this page.

const data = JSON.parse(document.getElementById("data").textContent);
const actions = data.actions;
const byId = (id) => document.getElementById(id);
const prefix = data.recipe + "/";
const short = (name) => (name.startsWith(prefix) ? name.slice(prefix.length) : name.replace(/^build-root:/, ""));
const worked = (a) => a.state === "ran" || a.state === "failed";

// ---- Numbers and elements

function seconds(s) {
  if (s < .9995) return (s * 1000).toFixed(s < .00995 ? 1 : 0) + " ms";
  if (s < 9.95) return s.toFixed(1) + " s";
  const whole = Math.round(s);
  return whole < 100 ? whole + " s" : Math.floor(whole / 60) + " min " + (whole % 60) + " s";
}

function bytes(n) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let unit = 0;
  while (n >= 999.5 && unit < units.length - 1) { n /= 1000; unit++; }
  return (unit === 0 ? n : n.toFixed(n < 9.95 ? 2 : n < 99.5 ? 1 : 0)) + " " + units[unit];
}

function html(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

function svg(tag, attributes = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

// Cuts a text so that it is no wider than it may be; it must be in the document.
function fit(text, width) {
  const whole = text.textContent;
  if (text.getComputedTextLength() <= width) return;
  let [low, high] = [0, whole.length];
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    text.textContent = whole.slice(0, middle) + "…";
    if (text.getComputedTextLength() <= width) low = middle; else high = middle - 1;
  }
  text.textContent = whole.slice(0, low) + "…";
}

const count = (n, noun) => `${n} ${noun}${n === 1 ? "" : "s"}`;

const stateWord = { ran: "ran", hit: "from the cache", failed: "failed", skipped: "skipped", none: "never built here" };

// ---- Head

function head() {
  const title = byId("recipe");
  title.append(data.recipe);
  for (const [name, value] of Object.entries(data.parameters)) {
    title.append(html("span", { class: "chip" }, `${name} ${value}`));
  }
  byId("summary").append(data.summary);
  const facts = byId("facts");
  const fact = (key, value, note, extra) => {
    const box = html("div", { class: "fact" }, html("div", { class: "k" }, key), html("div", { class: "v" }, value),
      html("div", { class: "s" }, note));
    if (extra) box.append(extra);
    facts.append(box);
  };
  const build = data.build;
  const tools = actions.filter((a) => a.tool).length;
  fact("Actions", String(actions.length), tools ? `${tools} make the build root` : count(actions.flatMap((a) => a.outputs.flatMap((o) => o.artifacts)).length, "artifact"));
  if (!build) {
    fact("Last build", "none", "this is the plan alone");
  } else {
    fact("Build", "#" + build.build, `${build.outcome} · ${data.date.replace(/:\d\d UTC/, " UTC")}`);
    fact("Wall time", seconds(build.seconds), `${seconds(build.cpu_seconds)} of processor time`);
    if (data.critical_seconds > 0) {
      const share = Math.round(100 * data.critical_seconds / Math.max(build.seconds, data.critical_seconds));
      fact("Critical path", seconds(data.critical_seconds), `${share} % of the wall time`);
    }
    const all = Math.max(1, build.ran + build.hit + build.failed + build.skipped);
    const meter = html("div", { class: "meter", "aria-hidden": "true" });
    for (const [count, color] of [[build.hit, "hit"], [build.ran, "ran"], [build.failed, "fail"], [build.skipped, "none"]]) {
      if (count) meter.append(html("i", { style: `width:${100 * count / all}%;background:var(--${color})` }));
    }
    const failed = build.failed ? ` · ${build.failed} failed` : "";
    fact("From the cache", Math.round(100 * build.hit / all) + " %", `${count(build.hit, "hit")} · ${build.ran} ran${failed}`, meter);
    fact("Made", bytes(build.made_bytes), build.hit ? `saved ${bytes(build.saved_bytes)} and ${seconds(build.saved_seconds)}` : "in all outputs");
  }
  byId("footer").append(`Made by forge ${data.forge}: forge graph ${data.recipe} --format html`);
  byId("theme").onclick = () => {
    const dark = document.documentElement.dataset.theme
      ? document.documentElement.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    document.documentElement.dataset.theme = dark ? "light" : "dark";
  };
  const legend = byId("legend");
  const mark = (style, text) => legend.append(html("span", {}, html("i", { style }), text));
  if (build) {
    mark("background:var(--ran)", "ran");
    mark("background:var(--hit)", "from the cache");
    if (build.failed) mark("background:var(--fail)", "failed");
    mark("background:transparent;border:2px solid var(--crit)", "critical path");
  }
  if (actions.some((a) => a.tool)) mark("background:transparent;border:1.5px dashed var(--none)", "makes the build root");
}

// ---- Graph

// A graph larger than this is not readable; then what ran, what is critical and what lies between is drawn.
const mostNodes = 300;

function drawn() {
  if (actions.length <= mostNodes) return actions.map((_, i) => i);
  const ranked = actions.map((a, i) => i).sort((x, y) =>
    actions[y].critical - actions[x].critical || worked(actions[y]) - worked(actions[x]) || actions[y].seconds - actions[x].seconds || x - y);
  return ranked.slice(0, mostNodes).sort((x, y) => x - y);
}

function graph() {
  const box = byId("graph");
  const chosen = drawn();
  const place = new Map(chosen.map((a, i) => [a, i]));
  const items = chosen.map((i) => {
    const action = actions[i];
    const artifacts = action.outputs.flatMap((o) => o.artifacts);
    return { action, artifacts, needs: action.needs.filter((n) => place.has(n)).map((n) => place.get(n)), height: artifacts.length ? 64 : 48 };
  });
  if (chosen.length < actions.length) {
    byId("legend").prepend(html("span", {}, `${chosen.length} of ${actions.length} actions: the slowest, and the critical path`));
  }
  if (!items.length) return;
  const { nodes, routes, layers } = layout(items);
  const pad = 4;
  const width = 228;
  const step = Math.max(width + 48, Math.min(300, (box.clientWidth - 2 * pad - width) / Math.max(1, layers.length - 1)));
  const x = (n) => pad + n.layer * step;
  const total = { width: pad * 2 + (layers.length - 1) * step + width, height: pad * 2 + Math.max(...layers.flat().map((n) => n.y + n.height / 2)) };
  const picture = svg("svg", { width: total.width, height: total.height, role: "img", "aria-label": "The graph of actions" });
  const edges = svg("g");
  picture.append(edges);
  for (const { from, to, route } of routes) {
    const [a, b] = [items[from].action, items[to].action];
    let path = "";
    for (let k = 1; k < route.length; k++) {
      const [p, q] = [route[k - 1], route[k]];
      const x1 = x(p) + width, x2 = x(q), y1 = pad + p.y, y2 = pad + q.y, bend = (x2 - x1) * .5;
      path += (k === 1 ? `M${x1},${y1}` : "") + `C${x1 + bend},${y1} ${x2 - bend},${y2} ${x2},${y2}`;
      if (k < route.length - 1) path += `L${x2 + width},${y2}`;
    }
    const critical = a.critical && b.critical && isStep(chosen[from], chosen[to]);
    const root = b.root === chosen[from] ? " root" : "";
    const edge = svg("path", { d: path, class: "edge" + root + (critical ? " critical" : ""), "data-from": chosen[from], "data-to": chosen[to] });
    if (critical) edges.append(edge); else edges.prepend(edge);
  }
  for (const n of nodes) picture.append(drawNode(n, x(n), pad + n.y - n.height / 2, width));
  box.replaceChildren(picture);
  for (const text of picture.querySelectorAll("text")) fit(text, width - 26);
}

// Whether the critical path goes straight from one action to the other.
const isStep = (from, to) => actions[to].needs.includes(from)
  && !actions[to].needs.some((n) => n !== from && actions[n].critical && reaches(from, n));

function reaches(from, to) {
  const seen = new Set([to]);
  for (const n of seen) for (const m of actions[n].needs) seen.add(m);
  return seen.has(from);
}

function drawNode(n, x, y, width) {
  const a = n.item.action;
  const i = actions.indexOf(a);
  const group = svg("g", {
    class: `node ${a.state}${a.critical ? " critical" : ""}${a.tool ? " tool" : ""}`, transform: `translate(${x},${y})`,
    "data-action": a.name, tabindex: 0, role: "button", "aria-label": `${a.name}, ${stateWord[a.state]}`,
  });
  const figures = [a.stage];
  if (worked(a)) figures.push(seconds(a.seconds));
  if (a.output_bytes) figures.push(bytes(a.output_bytes));
  group.append(
    svg("rect", { class: "box", width, height: n.height, rx: 9 }), svg("rect", { class: "wash", width, height: n.height, rx: 9 }),
    svg("rect", { class: "stripe", x: 7, y: 9, width: 3.5, height: n.height - 18, rx: 1.75 }),
    svg("text", { class: "name", x: 18, y: 20 }, short(a.name)), svg("text", { class: "sub", x: 18, y: 37 }, figures.join(" · ")));
  if (n.item.artifacts.length) {
    const names = n.item.artifacts.map((p) => p.split("/").pop());
    group.append(svg("text", { class: "art", x: 18, y: 54 }, "→ " + names.join(", ")));
  }
  listen(group, i);
  return group;
}

// ---- What is under the pointer

let pinned = null;

function family(i) {
  const lit = new Set([i]);
  for (const n of lit) for (const m of actions[n].needs) lit.add(m);
  const below = new Set([i]);
  actions.forEach((a, k) => { if (a.needs.some((n) => below.has(n))) below.add(k); });
  return { lit: new Set([...lit, ...below]), up: lit, below };
}

function light(i) {
  const box = byId("graph");
  box.classList.toggle("dull", i !== null);
  const { lit, up, below } = i === null ? { lit: new Set(), up: new Set(), below: new Set() } : family(i);
  const names = new Set([...lit].map((k) => actions[k].name));
  for (const node of box.querySelectorAll(".node")) node.classList.toggle("lit", names.has(node.dataset.action));
  for (const edge of box.querySelectorAll(".edge")) {
    const [from, to] = [Number(edge.dataset.from), Number(edge.dataset.to)];
    edge.classList.toggle("lit", (up.has(from) && up.has(to)) || (below.has(from) && below.has(to)));
  }
  for (const row of document.querySelectorAll(".row, tbody tr")) {
    row.classList.toggle("lit", i !== null && row.dataset.action === actions[i].name);
  }
}

function listen(element, i) {
  element.addEventListener("mouseenter", (event) => { if (pinned === null) { light(i); tip(i, event.clientX, event.clientY); } });
  element.addEventListener("mousemove", (event) => { if (pinned === null) moveTip(event.clientX, event.clientY); });
  element.addEventListener("mouseleave", () => { if (pinned === null) hide(); });
  const pin = (x, y) => {
    document.querySelector(".pinned.node")?.classList.remove("pinned");
    pinned = pinned === i ? null : i;
    if (pinned === null) return hide();
    if (element.classList.contains("node")) element.classList.add("pinned");
    light(i);
    tip(i, x, y);
    byId("tip").classList.add("pinned");
  };
  element.addEventListener("click", (event) => { event.stopPropagation(); pin(event.clientX, event.clientY); });
  element.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    const box = element.getBoundingClientRect();
    pin(box.right, box.top);
  });
}

function hide() {
  light(null);
  byId("tip").hidden = true;
  byId("tip").classList.remove("pinned");
}

document.addEventListener("click", (event) => {
  if (pinned === null || byId("tip").contains(event.target)) return;
  pinned = null;
  document.querySelector(".pinned.node")?.classList.remove("pinned");
  hide();
});
document.addEventListener("keydown", (event) => { if (event.key === "Escape") { pinned = null; hide(); } });

function tip(i, x, y) {
  const a = actions[i];
  const box = byId("tip");
  const list = html("dl");
  const row = (key, ...value) => list.append(html("dt", {}, key), html("dd", {}, ...value));
  box.replaceChildren(html("h3", {}, a.name), html("div", { class: "s" }, `stage ${a.stage} · ${stateWord[a.state]}${a.critical ? " · on the critical path" : ""}`), list);
  if (worked(a)) row("time", `${seconds(a.seconds)}, from ${seconds(a.start)}`);
  else if (a.seconds) row("when it ran", seconds(a.seconds));
  if (a.cpu_seconds) row("processor", `${seconds(a.cpu_seconds)} (${(a.cpu_seconds / Math.max(a.seconds, .001)).toFixed(1)} cores), ${bytes(a.max_memory)} of memory`);
  if (worked(a) && !a.critical && data.build) row("slack", seconds(a.slack));
  if (a.location) row("asked for in", html("code", {}, a.location));
  const part = (title, rows) => {
    if (!rows.length) return;
    const part = html("dl");
    for (const [key, value] of rows.slice(0, 14)) part.append(html("dt", {}, key), html("dd", {}, value));
    box.append(html("h4", {}, title), part);
    if (rows.length > 14) box.append(html("div", { class: "s" }, `and ${rows.length - 14} more`));
  };
  part("Outputs", a.outputs.map((o) => [o.name, [o.kind, o.bytes === null ? null : bytes(o.bytes), ...o.artifacts.map((p) => "→ " + p)].filter(Boolean).join(" · ")]));
  part("Inputs", a.inputs.map((n) => [n.name, short(n.from)]).concat(a.root === null ? [] : [["build root", short(actions[a.root].name)]]));
  part("Options", Object.entries(a.options).filter(([, v]) => !(Array.isArray(v) && !v.length)).map(([k, v]) => [k, brief(v)]));
  box.hidden = false;
  moveTip(x, y);
}

function brief(value) {
  let text = Array.isArray(value) && value.every((v) => typeof v === "string") ? value.join(", ") : typeof value === "string" ? value : JSON.stringify(value);
  return text.length > 150 ? text.slice(0, 147) + "…" : text;
}

function moveTip(x, y) {
  const box = byId("tip");
  const [w, h] = [box.offsetWidth, box.offsetHeight];
  box.style.left = Math.max(8, x + 18 + w > innerWidth ? x - w - 14 : x + 18) + "px";
  box.style.top = Math.max(8, Math.min(y + 14, innerHeight - h - 8)) + "px";
}

// ---- Timeline

function timeline() {
  const rows = actions.map((a, i) => i).filter((i) => worked(actions[i])).sort((x, y) => actions[x].start - actions[y].start || x - y);
  if (!rows.length) {
    byId("timeline-card").hidden = true;
    return;
  }
  const box = byId("timeline");
  const end = Math.max(data.build.seconds, ...rows.map((i) => actions[i].start + actions[i].seconds)) || 1;
  const label = Math.min(210, box.clientWidth * .24);
  const right = 64;
  const scale = (box.clientWidth - label - right) / end;
  const height = 25;
  const top = 24;
  const picture = svg("svg", { width: box.clientWidth, height: top + rows.length * height + 4, role: "img", "aria-label": "When each action ran" });
  const axis = svg("g", { class: "axis" });
  const step = [.05, .1, .2, .5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600, 7200].find((s) => end / s <= 10) ?? end;
  for (let t = 0; t <= end + 1e-9; t += step) {
    const x = label + t * scale;
    axis.append(svg("line", { x1: x, x2: x, y1: top - 6, y2: top + rows.length * height }), svg("text", { x, y: 11, "text-anchor": "middle" }, tick(t, step)));
  }
  picture.append(axis);
  const y = new Map(rows.map((i, r) => [i, top + r * height]));
  const names = [];
  for (const i of rows) {
    const a = actions[i];
    const x = label + a.start * scale;
    const width = Math.max(2, a.seconds * scale);
    const name = svg("text", { class: "l", x: label - 12, y: y.get(i) + 16.5, "text-anchor": "end" }, short(a.name));
    names.push(name);
    const group = svg("g", { class: "row", "data-action": a.name },
      svg("rect", { class: "lane", x: 0, y: y.get(i), width: box.clientWidth, height, rx: 5 }), name,
      svg("rect", { class: `bar ${a.state}${a.critical ? " critical" : ""}`, x, y: y.get(i) + 5, width, height: height - 10, rx: Math.min(4, width / 2), "data-action": a.name }),
      svg("text", { class: "t", x: x + width + 7, y: y.get(i) + 16.5 }, seconds(a.seconds)));
    listen(group, i);
    picture.append(group);
  }
  // The critical path as a line from each end to the next beginning, behind the bars.
  const path = rows.filter((i) => actions[i].critical);
  for (let k = 1; k < path.length; k++) {
    const [a, b] = [path[k - 1], path[k]];
    const x1 = label + (actions[a].start + actions[a].seconds) * scale, x2 = label + actions[b].start * scale;
    axis.after(svg("path", { class: "link", d: `M${x1 - 1},${y.get(a) + height - 5}V${y.get(b) + height / 2}H${Math.max(x2, x1)}` }));
  }
  box.replaceChildren(picture);
  for (const name of names) fit(name, label - 16);
  byId("timeline-note").textContent = `critical path ${seconds(data.critical_seconds)} of ${seconds(data.build.seconds)}: `
    + `${path.map((i) => short(actions[i].name)).join(" → ")}`;
}

function tick(t, step) {
  if (step < 1) return t.toFixed(step < .1 ? 2 : 1) + " s";
  return t < 100 ? Math.round(t) + " s" : Math.floor(t / 60) + ":" + String(Math.round(t % 60)).padStart(2, "0");
}

// ---- Sizes

function sizes() {
  const most = 18;
  const list = actions.flatMap((a, i) => a.outputs.map((o) => ({ a, i, o }))).filter((e) => e.o.bytes > 0).sort((x, y) => y.o.bytes - x.o.bytes);
  if (!list.length) {
    byId("sizes-card").hidden = true;
    return;
  }
  const largest = list[0].o.bytes;
  const artifacts = list.filter((e) => e.o.artifacts.length);
  byId("sizes-note").textContent = `${count(list.length, "output")}, ${bytes(list.reduce((s, e) => s + e.o.bytes, 0))}; `
    + `published (green): ${artifacts.length}, ${bytes(artifacts.reduce((s, e) => s + e.o.bytes, 0))}`
    + (list.length > most ? `; the ${most} largest are shown` : "");
  for (const { a, i, o } of list.slice(0, most)) {
    const name = html("div", { class: "n", title: `${a.name}.${o.name}` }, html("b", {}, short(a.name)), html("span", {}, "." + o.name));
    const row = html("div", { class: `size ${o.artifacts.length ? "file" : ""}`, "data-action": a.name }, name,
      html("div", { class: "track" }, html("i", { style: `width:${Math.max(.2, 100 * o.bytes / largest)}%` })),
      html("div", { class: "b" }, bytes(o.bytes)));
    listen(row, i);
    byId("sizes").append(row);
  }
}

// ---- Table

const columns = [
  { name: "action", value: (a) => short(a.name), left: true }, { name: "stage", value: (a) => a.stage, left: true },
  { name: "state", value: (a) => stateWord[a.state], left: true },
  { name: "start", value: (a) => (worked(a) ? a.start : -1), show: (v) => (v < 0 ? "" : seconds(v)) },
  { name: "time", value: (a) => a.seconds, show: (v) => (v ? seconds(v) : "") },
  { name: "processor", value: (a) => a.cpu_seconds, show: (v) => (v ? seconds(v) : "") },
  { name: "cores", value: (a) => (a.seconds ? a.cpu_seconds / a.seconds : 0), show: (v) => (v ? v.toFixed(1) : "") },
  { name: "memory", value: (a) => a.max_memory, show: (v) => (v ? bytes(v) : "") },
  { name: "outputs", value: (a) => a.output_bytes, show: (v) => (v ? bytes(v) : "") },
  { name: "slack", value: (a) => (a.critical ? -1 : worked(a) ? a.slack : Infinity), show: (v) => (v < 0 ? "critical" : v === Infinity ? "" : seconds(v)) },
];
let sorted = { column: 4, up: false };

function table() {
  const body = byId("table").tBodies[0];
  const headings = columns.map((column, c) => {
    const cell = html("th", { scope: "col", tabindex: 0, class: column.left ? "l" : "" }, column.name);
    if (sorted.column === c) cell.setAttribute("aria-sort", sorted.up ? "ascending" : "descending");
    cell.onclick = () => {
      sorted = { column: c, up: sorted.column === c ? !sorted.up : Boolean(column.left) };
      table();
    };
    cell.onkeydown = (event) => { if (event.key === "Enter") cell.onclick(); };
    return cell;
  });
  byId("table").tHead.replaceChildren(html("tr", {}, ...headings));
  const wanted = byId("filter").value.toLowerCase();
  const { value } = columns[sorted.column];
  const rows = actions.map((a, i) => i).filter((i) => (actions[i].name + " " + actions[i].stage + " " + stateWord[actions[i].state]).toLowerCase().includes(wanted));
  rows.sort((x, y) => {
    const [a, b] = [value(actions[x]), value(actions[y])];
    const order = typeof a === "string" ? a.localeCompare(b) : a - b || 0;
    return (sorted.up ? order : -order) || x - y;
  });
  body.replaceChildren(...rows.slice(0, 2000).map((i) => {
    const a = actions[i];
    const cells = columns.map((column, c) => {
      const v = column.value(a);
      const cell = html("td", { class: column.left ? "l" : "" }, column.show ? column.show(v) : v);
      if (c === 2) cell.prepend(html("span", { class: "dot" }));
      if (column.name === "slack" && a.critical) cell.className = "mark";
      if (column.name === "time" && !worked(a)) cell.className = "faint";
      return cell;
    });
    const row = html("tr", { class: a.state, "data-action": a.name }, ...cells);
    listen(row, i);
    return row;
  }));
}

head();
graph();
timeline();
sizes();
table();
byId("filter").oninput = table;
let waiting = 0;
addEventListener("resize", () => {
  cancelAnimationFrame(waiting);
  waiting = requestAnimationFrame(() => { graph(); timeline(); });
});
