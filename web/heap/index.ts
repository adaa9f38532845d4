/**
 * The script that analytics.js loads for the destination Heap: it looks for `heapDeps`, calls
 * `heapLoader`, then constructs `heapIntegration` with the destination's settings.
 */

import { HeapIntegration } from "./integration.ts";

window.heapDeps = [];
window.heapLoader = () => {
  window.heapIntegration = HeapIntegration;
};
