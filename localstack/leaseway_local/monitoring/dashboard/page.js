"use strict";

const COLOURS = ["#2f6fde", "#d9730d", "#2a9d5c", "#c2378f", "#7a5cd6", "#0f8b8d", "#b8860b", "#d64545", "#64748b", "#5b8c00"];
const REFRESH_MS = 5000;
const HEIGHT = 190;

const plots = new Map();
let timer = 0;

const byId = (id) => document.getElementById(id);

function element(name, text, className) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
}

const shown = (value) =>
  value === null || value === undefined ? "–" : value.toLocaleString("en", { maximumFractionDigits: value < 10 ? 2 : 0 });

// A point each period from start to end; null where there is nothing.
function columns(widget, data) {
  const times = [];
  for (let at = data.start; at < data.end; at += data.period) times.push(at);
  const place = new Map(times.map((at, index) => [at, index]));
  const rows = widget.lines.map((line) => {
    const row = new Array(times.length).fill(null);
    line.times.forEach((at, index) => { if (place.has(at)) row[place.get(at)] = line.values[index]; });
    return row;
  });
  return [times, ...rows];
}

function options(widget, width, ink, grid) {
  return {
    width, height: HEIGHT,
    legend: { show: false },
    cursor: { drag: { x: false, y: false } },
    scales: { y: { range: (plot, low, high) => [0, high > 0 ? high * 1.1 : 1] } },
    axes: [{ stroke: ink, grid: { stroke: grid }, ticks: { stroke: grid } }, { stroke: ink, grid: { stroke: grid }, ticks: { stroke: grid }, size: 56 }],
    series: [{}, ...widget.lines.map((line, index) => ({
      label: line.label, stroke: COLOURS[index % COLOURS.length], width: 2, points: { show: true, size: 4 },
    }))],
  };
}

function swatch(index) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const dot = document.createElementNS("http://www.w3.org/2000/svg", "circle");
  svg.setAttribute("viewBox", "0 0 10 10");
  svg.setAttribute("aria-hidden", "true");
  for (const [name, value] of [["cx", "5"], ["cy", "5"], ["r", "5"], ["fill", COLOURS[index % COLOURS.length]]]) dot.setAttribute(name, value);
  svg.append(dot);
  return svg;
}

// What a line comes to over the whole time shown: a sum where it counts, else its latest value.
function summary(line) {
  if (!line.values.length) return null;
  const adds = line.stat === "Sum" || line.stat === "SampleCount";
  return adds ? line.values.reduce((sum, value) => sum + value, 0) : line.values[line.values.length - 1];
}

function legend(widget) {
  const list = element("ul", undefined, "legend");
  widget.lines.forEach((line, index) => {
    const entry = element("li");
    const value = summary(line);
    entry.dataset.label = line.label;
    entry.dataset.stat = line.stat;
    entry.dataset.value = value === null ? "" : String(value);
    entry.dataset.most = line.values.length ? String(Math.max(...line.values)) : "";
    entry.append(swatch(index), element("span", line.label + " "), element("b", shown(value)));
    list.append(entry);
  });
  return list;
}

function drawWidget(widget, data) {
  const card = element("article");
  const title = element("h3", widget.title + " ");
  title.append(element("small", widget.unit));
  card.dataset.title = widget.title;
  card.append(title);
  byId("widgets").append(card);
  const some = widget.lines.some((line) => line.values.length);
  if (some) {
    const place = element("div", undefined, "plot");
    place.setAttribute("role", "img");
    place.setAttribute("aria-label", widget.title + ": " + widget.lines.map((line) => `${line.label} ${shown(summary(line))}`).join(", "));
    card.append(place);
    const style = getComputedStyle(document.body);
    const drawn = options(widget, place.clientWidth, style.getPropertyValue("--quiet"), style.getPropertyValue("--line"));
    plots.set(widget.title, { plot: new uPlot(drawn, columns(widget, data), place), place });
  } else {
    card.append(element("p", "Nothing yet", "empty"));
  }
  card.append(legend(widget));
}

function drawAlarms(alarms) {
  byId("alarms").replaceChildren(...alarms.map((alarm) => {
    const entry = element("li", `${alarm.name}: ${alarm.state.toLowerCase().replaceAll("_", " ")}`);
    entry.dataset.state = alarm.state;
    entry.title = alarm.why;
    return entry;
  }));
}

function draw(data) {
  for (const { plot } of plots.values()) plot.destroy();
  plots.clear();
  byId("stack").textContent = data.stack;
  drawAlarms(data.alarms);
  byId("widgets").replaceChildren();
  const ordered = [...data.widgets].sort((one, other) => one.y - other.y || one.x - other.x);
  for (const widget of ordered) {
    if (widget.lines) drawWidget(widget, data);
    else byId("widgets").append(element("h2", widget.text));
  }
  document.body.dataset.drawn = String(data.end);
}

async function refresh() {
  clearTimeout(timer);
  try {
    const answer = await fetch("/dashboard/data?minutes=" + byId("minutes").value);
    const data = await answer.json();
    if (!answer.ok) throw new Error(data.problem);
    const at = scrollY;
    draw(data);
    scrollTo(0, at);
    byId("state").textContent = "as of " + new Date().toLocaleTimeString("en-GB");
  } catch (problem) {
    byId("state").textContent = "no data: " + problem.message;
  }
  timer = setTimeout(refresh, REFRESH_MS);
}

byId("minutes").addEventListener("change", refresh);
addEventListener("resize", () => {
  for (const { plot, place } of plots.values()) plot.setSize({ width: place.clientWidth, height: HEIGHT });
});
refresh();
