/**
 * Questions as dialogs: a link with `data-dialog` leads to a page that says the consequence before the button, and
 * here that page's question is shown over the one that people are on. Esc and Cancel leave everything as it was.
 */

document.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-dialog]");
  if (!link || event.defaultPrevented || event.button || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  ask(link).catch(() => location.assign(link.href));
});

async function ask(link) {
  const answer = await fetch(link.href);
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const asked = page.querySelector(".confirm");
  if (!answer.ok || answer.redirected || !asked) throw new Error("the page asks nothing");
  const dialog = document.createElement("dialog");
  dialog.className = "asking";
  dialog.append(document.adoptNode(asked));
  name(dialog);
  dialog.querySelector(".actions a").addEventListener("click", (event) => {
    event.preventDefault();
    dialog.close();
  });
  dialog.addEventListener("close", () => {
    dialog.remove();
    link.focus();
  });
  document.body.append(dialog);
  dialog.showModal();
  document.dispatchEvent(new CustomEvent("page:changed", { detail: dialog }));
}

/** The question names the dialog; the page below keeps its own first heading. */
function name(dialog) {
  const question = document.createElement("h2");
  question.id = "asking";
  question.append(...dialog.querySelector("h1").childNodes);
  dialog.querySelector("h1").replaceWith(question);
  dialog.setAttribute("aria-labelledby", question.id);
}
