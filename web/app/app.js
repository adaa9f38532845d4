/* What pages can do beyond links and forms: each works without this file, only less comfortably. */

/** Copies the text of an element, also where the clipboard API is missing: on plain http. */
async function copy(button) {
  const source = document.getElementById(button.dataset.copy);
  const text = source.textContent;
  let done = true;
  if (navigator.clipboard) {
    done = await navigator.clipboard.writeText(text).then(
      () => true,
      () => false,
    );
  } else {
    const holder = document.createElement("textarea");
    holder.value = text;
    holder.setAttribute("aria-hidden", "true");
    button.after(holder);
    holder.select();
    done = document.execCommand("copy");
    holder.remove();
    button.focus();
  }
  button.textContent = done ? "Copied" : "Select and copy it";
  setTimeout(() => (button.textContent = "Copy"), 2000);
}

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

for (const button of document.querySelectorAll("[data-copy]")) {
  button.hidden = false;
  button.addEventListener("click", () => copy(button));
}

for (const form of document.querySelectorAll("form[data-check]")) checkAsTyped(form);

for (const button of document.querySelectorAll("[data-menu]")) {
  const rail = document.getElementById(button.getAttribute("aria-controls"));
  button.hidden = false;
  rail.classList.add("closed");
  button.addEventListener("click", () => {
    const isClosed = rail.classList.toggle("closed");
    button.setAttribute("aria-expanded", String(!isClosed));
  });
}

const user = document.querySelector("details.user");
document.addEventListener("click", (event) => {
  if (user?.open && !user.contains(event.target)) user.open = false;
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || !user?.open) return;
  user.open = false;
  user.querySelector("summary").focus();
});
