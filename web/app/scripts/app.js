/* What every page can do beyond links and forms: each works without it, only less comfortably. */

import htmx from "htmx.org";

import "./checking.js";
import { showButtons } from "./copying.js";
import "./dialogs.js";
import "./keys.js";
import "./line.js";
import "./menus.js";
import { showTimes } from "./times.js";

htmx.config.allowEval = false;
htmx.config.includeIndicatorStyles = false; // the content security policy allows no inline style
htmx.config.selfRequestsOnly = true;
htmx.config.historyCacheSize = 0; // pages may show what people must not find in a browser's storage
htmx.config.refreshOnHistoryMiss = true;

document.documentElement.dataset.scripted = "";
htmx.onLoad(prepare);
document.addEventListener("page:changed", (event) => prepare(event.detail));

/* A pane that was exchanged is read from its heading on. */
document.addEventListener("htmx:afterSettle", (event) => {
  event.target.querySelector?.("[data-heading]")?.focus();
});

function prepare(root) {
  showButtons(root);
  showTimes(root);
}
