/** Says what is wrong with a form while it is filled in; an older question is dropped for a newer one. */
function checkAsTyped(form) {
  const touched = new Set();
  let timer = 0;
  let asking = new AbortController();
  form.addEventListener("input", (event) => {
    touched.add(event.target.name);
    clearTimeout(timer);
    timer = setTimeout(ask, 300);
  });
  async function ask() {
    asking.abort();
    asking = new AbortController();
    const body = new URLSearchParams(new FormData(form));
    let problems;
    try {
      const answer = await fetch(form.dataset.check, { method: "POST", body, signal: asking.signal });
      if (!answer.ok || answer.redirected) return; // saving says why
      problems = await answer.json();
    } catch {
      return;
    }
    for (const place of form.querySelectorAll("[data-problem]")) {
      const name = place.dataset.problem;
      if (!touched.has(name)) continue;
      const words = problems[name] ?? "";
      if (place.textContent !== words) place.textContent = words;
      place.closest(".field").classList.toggle("wrong", words !== "");
      const input = form.elements[name];
      if (input instanceof HTMLElement) input.setAttribute("aria-invalid", String(words !== ""));
    }
  }
}

/** Makes every form within an element that has an address for it be checked as people type. */
export function setUpChecking(root) {
  for (const form of root.querySelectorAll("form[data-check]")) checkAsTyped(form);
}
