/* Copies the text of an element, also where the clipboard API is missing: on plain http. */

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-copy]");
  if (button) copy(button);
});

/** Shows the copy buttons within an element; without scripts they would do nothing. */
export function showButtons(root) {
  for (const button of root.querySelectorAll("[data-copy]")) button.hidden = false;
}

async function copy(button) {
  const text = document.getElementById(button.dataset.copy).textContent;
  const label = button.textContent;
  button.textContent = (await isCopied(text, button)) ? "Copied" : "Select and copy it";
  setTimeout(() => (button.textContent = label), 2000);
}

/** Says in the corner what was done, as a page does after a form. */
export function say(words) {
  document.querySelector(".toast")?.remove();
  const toast = document.createElement("div");
  toast.className = "toast";
  toast.role = "status";
  toast.append(Object.assign(document.createElement("p"), { textContent: words }));
  document.body.append(toast);
}

/** Puts a text on the clipboard; whether that worked. Focus is on `opener` afterwards. */
export async function isCopied(text, opener) {
  if (navigator.clipboard) {
    return navigator.clipboard.writeText(text).then(
      () => true,
      () => false,
    );
  }
  const holder = document.createElement("textarea");
  holder.value = text;
  holder.setAttribute("aria-hidden", "true");
  document.body.append(holder);
  holder.select();
  const done = document.execCommand("copy");
  holder.remove();
  opener?.focus();
  return done;
}
