/* The main menu of narrow windows, and the menu of the person. */

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
