// Live lines, drawn by uPlot, which index.html loads. What they show is beside them as text too.

import { fill, h } from "./dom.js";

const POINTS = 300;
const HEIGHT = 190;
const LEAST_SECONDS = 60;

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

/**
 * A chart of the last few minutes. `lines` are `{name, tone, dash}`; `add(seconds, values)` moves it on. It ends with
 * the signal.
 */
export function liveChart(title, lines, unit, signal) {
  const data = [[], ...lines.map(() => [])];
  const plot = h("div", { class: "plot", role: "img", "aria-label": `${title}: nothing yet` });
  const legend = h("ul", { class: "legend" });
  let drawn = null;

  function draw() {
    drawn?.destroy();
    drawn = plot.clientWidth ? new window.uPlot(options(plot.clientWidth, lines), data, plot) : null;
  }

  function add(seconds, values) {
    [seconds, ...values].forEach((value, at) => {
      data[at].push(value);
      if (data[at].length > POINTS) data[at].shift();
    });
    if (drawn) drawn.setData(data);
    else draw();
    const told = lines.map((line, at) => [line, `${line.name} ${round(values[at])}${unit}`]);
    fill(legend, told.map(([line, text]) => h("li", {}, h("span", { class: `dot is-${line.tone}` }), text)));
    plot.setAttribute("aria-label", `${title}: ${told.map(([, text]) => text).join(", ")}`);
  }

  const resized = new ResizeObserver(draw);
  resized.observe(plot);
  addEventListener("theme", draw, { signal });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw, { signal });
  signal.addEventListener("abort", () => {
    resized.disconnect();
    drawn?.destroy();
  });
  return { element: h("div", { class: "chart stack" }, plot, legend), add };
}

const round = (value) => (value === null ? "–" : Number(value.toFixed(value < 10 ? 1 : 0)).toString());

const clock = (seconds) => new Date(seconds * 1000).toTimeString().slice(0, 8);

function options(width, lines) {
  const axis = { stroke: colour("quiet"), grid: { stroke: colour("line"), width: 1 }, ticks: { stroke: colour("line"), width: 1 } };
  const series = lines.map((line) => ({ label: line.name, stroke: colour(line.tone), width: 2, dash: line.dash, points: { show: false } }));
  return {
    width,
    height: HEIGHT,
    legend: { show: false },
    cursor: { show: false },
    scales: {
      x: { range: (_, first, last) => [Math.min(first, last - LEAST_SECONDS), last] },
      y: { range: (_, low, high) => [0, Math.max(1, high * 1.15)] },
    },
    axes: [{ ...axis, space: 90, values: (_, seconds) => seconds.map(clock) }, { ...axis, size: 46 }],
    series: [{}, ...series],
  };
}
