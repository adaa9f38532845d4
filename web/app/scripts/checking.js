/* Says what is wrong with a form while it is filled in; an older question is dropped for a newer one. */

const checked = new WeakMap();

document.addEventListener("input", (event) => {
  const form = event.target.form;
  if (!form?.dataset.check) return;
  if (!checked.has(form)) checked.set(form, { touched: new Set(), timer: 0, asking: new AbortController() });
  const state = checked.get(form);
  state.touched.add(event.target.name);
  clearTimeout(state.timer);
  state.timer = setTimeout(() => ask(form, state), 300);
});

async function ask(form, state) {
  state.asking.abort();
  state.asking = new AbortController();
  const body = new URLSearchParams(new FormData(form));
  let problems;
  try {
    const answer = await fetch(form.dataset.check, { method: "POST", body, signal: state.asking.signal });
    if (!answer.ok || answer.redirected) return; // saving says why
    problems = await answer.json();
  } catch {
    return;
  }
  for (const place of form.querySelectorAll("[data-problem]")) {
    const name = place.dataset.problem;
    if (!state.touched.has(name)) continue;
    const words = problems[name] ?? "";
    if (place.textContent !== words) place.textContent = words;
    place.closest(".field").classList.toggle("wrong", words !== "");
    const input = form.elements[name];
    if (input instanceof HTMLElement) input.setAttribute("aria-invalid", String(words !== ""));
  }
}
