/* While a definition is typed: what it reads, what is wrong with it, and how many people it would be right now. */

const PAUSE_MS = 400;

const form = document.querySelector("form[data-builder]");
if (form) follow(form);

function follow(form) {
  const now = form.querySelector(".right-now");
  let timer = 0;
  let asking = new AbortController();

  form.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(look, PAUSE_MS);
  });
  now.hidden = false;
  look().then(() => fetch("/builder/names")).then(look); // names are doubted once those seen are known

  async function look() {
    asking.abort();
    asking = new AbortController();
    const body = new URLSearchParams(new FormData(form));
    const read = await asked("/builder", body, asking.signal);
    if (!read) return;
    showRead(read);
    if (!read.told.text.trim() || read.told.fault) return showCount([]);
    showCount(["Counting…"]);
    const tried = await asked("/builder/preview", body, asking.signal);
    if (tried && !tried.takenBack) showCount(tried.untold ? [`It cannot be counted: ${tried.untold}.`] : counted(tried));
  }

  function showRead({ told, key, problems }) {
    const fault = told.fault;
    say("reads", told.sentence ? [`Reads: ${told.sentence}.`] : []);
    say("definition-problem", fault ? [fault.sentence] : [], fault ? [fault.pointed] : []);
    say("definition-doubts", told.doubts.map(doubted));
    form.elements.definition.setAttribute("aria-invalid", String(Boolean(fault)));
    form.querySelector("[data-key]").textContent = key || "…";
    for (const place of form.querySelectorAll("[data-problem]")) place.textContent = problems[place.dataset.problem] ?? "";
  }

  function showCount(lines) {
    say("right-now", lines);
  }
}

async function asked(path, body, signal) {
  try {
    const answer = await fetch(path, { method: "POST", body, signal });
    return answer.ok && !answer.redirected ? await answer.json() : null;
  } catch {
    return null; // something newer was asked, or the server is away: saving says so
  }
}

function counted({ tried, says }) {
  const lines = [`${tried.people.toLocaleString()} of ${tried.known.toLocaleString()} people known`];
  const silent = tried.people - tried.deliverable;
  if (silent) lines.push(`${silent.toLocaleString()} have no userId: Heap cannot be told of them`);
  if (tried.entering !== null) lines.push(`${tried.entering.toLocaleString()} enter, ${tried.leaving.toLocaleString()} leave`);
  return [...lines, says];
}

function doubted({ sentence, instead, seen }) {
  return instead ? `${sentence}. Did you mean ${instead} (${seen.toLocaleString()})?` : `${sentence}.`;
}

/** Shows sentences, and lines of code under them; leaves alone what says so already. */
function say(id, sentences, code = []) {
  const place = document.getElementById(id);
  const parts = [
    ...sentences.map((text) => element("p", text)),
    ...code.map((text) => element("pre", text)),
  ];
  const holder = document.createElement("div");
  holder.append(...parts);
  if (place.innerHTML !== holder.innerHTML) place.replaceChildren(...parts);
}

function element(name, text) {
  const made = document.createElement(name);
  made.textContent = text;
  return made;
}
