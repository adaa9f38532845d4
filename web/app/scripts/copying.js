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

/** Makes every copy button within an element work. */
export function setUpCopying(root) {
  for (const button of root.querySelectorAll("[data-copy]")) {
    button.hidden = false;
    button.addEventListener("click", () => copy(button));
  }
}
