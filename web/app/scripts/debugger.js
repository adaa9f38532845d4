/**
 * Calls as they land. News are put on top of the list unless somebody holds it: by pausing it, by scrolling down, by
 * standing on a row. Then they are counted, and whoever goes on reads the list anew from the server, so that what came
 * in between is there. At most 200 rows are kept; earlier ones are loaded as they are asked for.
 */

const MOST_ROWS = 200;
const SUMMARY_EVERY_MS = 10_000;
const WIDE = matchMedia("(min-width: 900px)");

const panes = document.querySelector(".debugger");
const list = document.getElementById("calls");
const body = list.querySelector("tbody");
const pause = document.querySelector("[data-pause]");
const rate = document.querySelector("[data-rate]");
const newer = document.querySelector("[data-newer]");
const summary = document.querySelector("[data-summary]");
let newcomers = 0;
let isPaused = false;
let isCut = false; // the newest rows have made room for earlier ones
let summedUpAt = 0;

document.addEventListener("line:rows", (event) => take(event.detail));
document.addEventListener("line:resume", resume);
pause?.addEventListener("click", () => {
  isPaused = !isPaused;
  pause.setAttribute("aria-pressed", String(isPaused));
  pause.textContent = isPaused ? "Resume" : "Pause";
  panes.toggleAttribute("data-held", isPaused);
  if (!isPaused) resume();
});
newer.querySelector("button").addEventListener("click", () => {
  if (isPaused) pause.click();
  else resume();
  list.scrollTop = 0;
});
list.addEventListener("click", (event) => {
  const row = event.target.closest("a.row");
  const earlier = event.target.closest("[data-earlier]");
  if (event.ctrlKey || event.metaKey || event.shiftKey || !(row || earlier)) return;
  if (row && !WIDE.matches) return;
  event.preventDefault();
  if (row) show(row);
  else loadEarlier(earlier);
});
list.addEventListener("scroll", () => {
  const earlier = list.querySelector("[data-earlier]");
  if (earlier && list.scrollTop + list.clientHeight > list.scrollHeight - 200) loadEarlier(earlier);
});
document.getElementById("call").addEventListener("keydown", (event) => {
  if (event.key === "Escape") body.querySelector("tr.selected a.row")?.focus();
});
addEventListener("popstate", () => location.reload());
if (rate) showRate(0);

function take(frame) {
  if (rate) showRate(frame.rate);
  for (const [place, text] of Object.entries(frame.fates)) {
    const cell = document.getElementById(`fates-${place}`);
    if (cell) cell.innerHTML = text;
  }
  if (isHeld()) return count(frame.fitting);
  if (newcomers) return resume();
  body.prepend(...rowsOf(`<table><tbody>${frame.rows}</tbody></table>`));
  while (body.rows.length > MOST_ROWS) body.lastElementChild.remove();
  list.querySelector("[data-quiet]").hidden = body.rows.length > 0;
  sumUp(frame.fitting);
}

function isHeld() {
  return isPaused || isCut || list.scrollTop > 8 || body.contains(document.activeElement);
}

function count(more) {
  newcomers += more;
  newer.hidden = newcomers === 0;
  newer.querySelector("button").textContent = `Show ${newcomers.toLocaleString()} newer`;
}

function showRate(perSecond) {
  const number = (value) => value.toLocaleString(undefined, { maximumFractionDigits: value < 10 ? 1 : 0 });
  const words = perSecond >= 1 ? `${number(perSecond)}/s arriving` : `${number(perSecond * 60)}/min arriving`;
  rate.dataset.count = perSecond;
  rate.textContent = perSecond === 0 ? quiet() : perSecond > 20 ? `${words} · at most 20/s shown` : words;
}

function quiet() {
  const last = panes.dataset.asked ? null : body.querySelector("time");
  return last ? `quiet, nothing since ${last.textContent}` : "nothing arriving";
}

function sumUp(came) {
  const now = performance.now();
  if (!came || !list.contains(document.activeElement) || now - summedUpAt < SUMMARY_EVERY_MS) return;
  summedUpAt = now;
  summary.textContent = `New calls have come; ${body.rows.length} are shown.`;
}

/** Reads the list anew; news go on where it ends. */
async function resume() {
  let page;
  try {
    page = await asked(`${panes.dataset.here}?${panes.dataset.asked}`);
  } catch {
    return tell("line:failed");
  }
  const focused = document.activeElement?.closest?.("#calls tr")?.id;
  const chosen = body.querySelector("tr.selected")?.id;
  body.replaceChildren(...page.querySelector("#calls tbody").rows);
  if (chosen) document.getElementById(chosen)?.classList.add("selected");
  if (focused) document.getElementById(focused)?.querySelector("a.row").focus();
  showEarlier(page);
  isCut = false;
  newcomers = 0;
  newer.hidden = true;
  list.querySelector("[data-quiet]").hidden = body.rows.length > 0;
  panes.dataset.line = page.querySelector(".debugger").dataset.line;
  tell("line:changed");
}

async function loadEarlier(link) {
  if (link.ariaBusy) return;
  link.ariaBusy = "true";
  try {
    const page = await asked(link.href);
    body.append(...page.querySelector("#calls tbody").rows);
    while (body.rows.length > MOST_ROWS) {
      isCut = true;
      body.firstElementChild.remove();
    }
    showEarlier(page);
  } catch {
    location.assign(link.href);
  }
}

function showEarlier(page) {
  list.querySelector(".earlier")?.remove();
  const earlier = page.querySelector(".earlier");
  if (earlier) list.append(earlier);
}

/** Shows a call beside the list, and says so in the address. */
async function show(row) {
  const tr = row.closest("tr");
  tr.classList.add("htmx-request");
  try {
    const page = await asked(row.href);
    const pane = document.getElementById("call");
    pane.replaceChildren(...page.getElementById("call").childNodes);
    for (const other of body.querySelectorAll(".selected")) other.classList.remove("selected");
    tr.classList.add("selected");
    const address = new URLSearchParams(panes.dataset.asked);
    address.set("at", tr.id.replace("call-", ""));
    history.pushState({}, "", `${panes.dataset.here}?${address}`);
    pane.querySelector("[data-heading]").focus();
  } catch {
    location.assign(row.href);
  } finally {
    tr.classList.remove("htmx-request");
  }
}

async function asked(address) {
  const answer = await fetch(address);
  if (!answer.ok || answer.redirected) throw new Error(answer.statusText);
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  tell("page:changed", page);
  return page;
}

function rowsOf(text) {
  const page = new DOMParser().parseFromString(text, "text/html");
  tell("page:changed", page);
  return page.querySelectorAll("tr");
}

function tell(name, detail) {
  document.dispatchEvent(new CustomEvent(name, { detail }));
}
