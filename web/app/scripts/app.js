/* What every page can do beyond links and forms: each works without it, only less comfortably. */

import htmx from "htmx.org";

import { setUpChecking } from "./checking.js";
import { setUpCopying } from "./copying.js";
import "./menus.js";

htmx.config.allowEval = false;
htmx.config.includeIndicatorStyles = false; // the content security policy allows no inline style
htmx.config.selfRequestsOnly = true;
htmx.config.historyCacheSize = 0; // pages may show what people must not find in a browser's storage
htmx.onLoad((root) => {
  setUpCopying(root);
  setUpChecking(root);
});
