/* Charts of figures over time: each draws what the table beside it says, again when the table changes.
   From zero up; series are told apart by colour, dash and a label at the end of the line. */

import uPlot from "uplot";

const SERIES = [
  { name: "delivered", column: 1, dash: [] },
  { name: "discarded", column: 2, dash: [8, 4] },
  { name: "failed", column: 3, dash: [2, 3] },
];
const HEIGHT = 220;
const LABELS_WIDTH = 92;
const LABEL_HEIGHT = 16;

const styleOf = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** A colour that a canvas takes: `light-dark()` is resolved by an element that has it. */
function colour(name) {
  const probe = document.createElement("i");
  probe.hidden = true;
  probe.style.color = `var(--${name})`;
  document.body.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}

/** Times in seconds and one list of numbers for each series; steps without a row are zero. */
function read(table) {
  const [from, to, step] = ["from", "to", "step"].map((name) => Number(table.dataset[name]));
  const rows = new Map();
  for (const row of table.tBodies[0].rows) {
    rows.set(Number(row.dataset.at), SERIES.map((one) => Number(row.cells[one.column].textContent)));
  }
  const times = [];
  const values = SERIES.map(() => []);
  for (let at = from - (from % step); at < to; at += step) {
    times.push(at / 1000);
    const found = rows.get(at);
    for (const index of SERIES.keys()) values[index].push(found?.[index] ?? 0);
  }
  return [times, ...values];
}

/** Labels at the ends of the lines, moved apart where they would touch. */
function label(plot) {
  const { ctx, bbox } = plot;
  const ratio = devicePixelRatio;
  const places = SERIES.map((one, index) => {
    const data = plot.data[index + 1];
    return { name: one.name, y: plot.valToPos(data[data.length - 1] ?? 0, "y", true) };
  }).sort((one, other) => one.y - other.y);
  for (let index = places.length - 2; index >= 0; index--) {
    places[index].y = Math.min(places[index].y, places[index + 1].y - LABEL_HEIGHT * ratio);
  }
  ctx.save();
  ctx.font = `${12 * ratio}px ${styleOf("--ui")}`;
  ctx.textBaseline = "middle";
  ctx.textAlign = "left";
  for (const { name, y } of places) {
    ctx.fillStyle = colour(name);
    ctx.fillText(name, bbox.left + bbox.width + 8 * ratio, y);
  }
  ctx.restore();
}

/** A line for each change of settings. */
function mark(plot, changes) {
  const { ctx, bbox } = plot;
  ctx.save();
  ctx.strokeStyle = colour("attention");
  ctx.lineWidth = devicePixelRatio;
  ctx.setLineDash([]);
  for (const at of changes) {
    const x = plot.valToPos(at / 1000, "x", true);
    if (x < bbox.left || x > bbox.left + bbox.width) continue;
    ctx.beginPath();
    ctx.moveTo(x, bbox.top);
    ctx.lineTo(x, bbox.top + bbox.height);
    ctx.stroke();
  }
  ctx.restore();
}

function say(plot, readout) {
  const index = plot.cursor.idx;
  if (index == null) {
    readout.textContent = "";
    return;
  }
  const at = new Date(plot.data[0][index] * 1000).toISOString().slice(0, 16).replace("T", " ");
  const said = SERIES.map((one, place) => `${plot.data[place + 1][index].toLocaleString()} ${one.name}`);
  readout.textContent = `${at} UTC: ${said.join(", ")}`;
}

function options(holder, readout, changes) {
  const axis = () => ({
    stroke: colour("muted"),
    font: `12px ${styleOf("--ui")}`,
    grid: { stroke: colour("line"), width: 1 },
    ticks: { stroke: colour("line"), width: 1 },
  });
  const whole = (_, splits) => splits.map((one) => (Number.isInteger(one) ? one.toLocaleString() : ""));
  return {
    width: holder.clientWidth,
    height: HEIGHT,
    padding: [8, LABELS_WIDTH, 0, 0],
    tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), "Etc/UTC"),
    fmtDate: (template) => uPlot.fmtDate(template.replaceAll("{h}", "{HH}").replaceAll("{aa}", "")),
    legend: { show: false },
    cursor: { y: false, drag: { x: false, y: false } },
    scales: { y: { range: (_, __, most) => [0, Math.max(1, most * 1.05)] } },
    axes: [axis(), { ...axis(), size: 56, values: whole }],
    series: [
      {},
      ...SERIES.map(({ name, dash }) => ({
        label: name,
        stroke: colour(name),
        width: 2,
        dash,
        points: { show: false },
      })),
    ],
    hooks: {
      draw: [(plot) => mark(plot, changes()), label],
      setCursor: [(plot) => say(plot, readout)],
    },
  };
}

function setUp(holder) {
  const id = holder.dataset.plot;
  const readout = document.querySelector(`[data-readout="${id}"]`);
  const table = () => document.getElementById(id);
  const changes = () =>
    [...document.querySelectorAll(`[data-changes="${id}"] [data-at]`)].map((one) => Number(one.dataset.at));
  let plot;
  const draw = () => {
    plot?.destroy();
    plot = new uPlot(options(holder, readout, changes), read(table()), holder);
  };
  draw();
  new ResizeObserver(() => plot.setSize({ width: holder.clientWidth, height: HEIGHT })).observe(holder);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  let asked = 0;
  new MutationObserver(() => {
    cancelAnimationFrame(asked);
    asked = requestAnimationFrame(() => plot.setData(read(table())));
  }).observe(table().closest("[data-part]"), { childList: true, subtree: true, characterData: true });
}

for (const holder of document.querySelectorAll("[data-plot]")) setUp(holder);
