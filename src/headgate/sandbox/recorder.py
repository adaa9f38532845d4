"""Heap's script for pages, as a recorder: it behaves like heap.js towards the page and posts every call
back to the sandbox, where it stands in the journal under `/recorder/{app_id}`.

Both worlds: the classic script (`/js/heap-{id}.js`, a stub array of [method, ...arguments]) and the
current one (`/config/{id}/heap_config.js`, a queue `heapReadyCb` of {name, fn}); see
https://developers.heap.io/docs/web and https://developers.heap.io/docs/api-reference. After it has run,
`window.heap` is a plain object without `push`, `heap.loaded` is true and what had been queued has been
called. Posts are plain text, so that no page needs CORS, and one after the other, so that they arrive
in order:

    {"app_id": "123", "script": "current", "method": "track", "args": ["Signed Up", {}],
     "identity": null, "config": {...}, "page": "http://..."}

The first post of a page has the method `loaded`.
"""

import re

import msgspec

SCRIPT_PATH = re.compile(r"/(?:js/heap-|config/)(\d+)(\.js|/heap_config\.js)")
POST_PATH = "/recorder/"

# The methods heap.js documents: https://developers.heap.io/docs/api-reference
METHODS = (
    "addAccountProperties",
    "addAdapter",
    "addEventProperties",
    "addPageviewProperties",
    "addTransformer",
    "addTransformerFn",
    "addUserProperties",
    "clearEventProperties",
    "clearPageviewProperties",
    "getIdentity",
    "getSessionId",
    "getUserId",
    "identify",
    "identifyHashed",
    "init",
    "onReady",
    "removeEventProperty",
    "removePageviewProperty",
    "resetIdentity",
    "setEventProperties",
    "startTracking",
    "stopTracking",
    "track",
    "trackPageview",
    "unsetEventProperty",
)

_TEMPLATE = """(function () {
  var APP_ID = %(app_id)s, SCRIPT = %(script)s, ADDRESS = %(address)s, METHODS = %(methods)s;
  var stub = window.heap || [], ready = window.heapReadyCb || [];
  var heap = { appid: APP_ID, envId: APP_ID, identity: null };
  heap.config = heap.clientConfig = stub.clientConfig || stub.config || {};
  var posted = Promise.resolve();
  function send(text) {
    return fetch(ADDRESS, { method: "POST", mode: "no-cors", keepalive: true, body: text });
  }
  function post(method, args) {
    var text = JSON.stringify({
      app_id: APP_ID, script: SCRIPT, method: method, args: args, identity: heap.identity,
      config: heap.config, page: String(window.location && window.location.href)
    });
    posted = posted.then(function () { return send(text); }).catch(function () {});
  }
  var effects = {
    identify: function (identity) { heap.identity = String(identity); },
    resetIdentity: function () { heap.identity = null; },
    getIdentity: function () { return heap.identity; },
    getUserId: function () { return "1234567890123456"; },
    getSessionId: function () { return "6543210987654321"; },
    onReady: function (callback) { callback(); }
  };
  METHODS.forEach(function (method) {
    heap[method] = function () {
      var args = Array.prototype.slice.call(arguments);
      post(method, args);
      return effects[method] && effects[method].apply(null, args);
    };
  });
  window.heap = heap;
  heap.loaded = true;
  post("loaded", []);
  if (Array.isArray(stub)) stub.forEach(function (call) {
    if (heap[call[0]]) heap[call[0]].apply(heap, call.slice(1));
  });
  window.heapReadyCb = { push: function (entry) { entry.fn(); } };
  if (Array.isArray(ready)) ready.forEach(function (entry) { entry.fn(); });
})();
"""


def script(path: str, origin: str) -> tuple[str, bytes] | None:
    """The app id and script at this path, None when the path is no script's.

    `origin` is where the page reached the sandbox, such as http://127.0.0.1:9091.
    """
    match = SCRIPT_PATH.fullmatch(path)
    if match is None or path.startswith("/js/") != (match[2] == ".js"):
        return None
    values = {
        "app_id": match[1],
        "script": "classic" if match[2] == ".js" else "current",
        "address": f"{origin}{POST_PATH}{match[1]}",
        "methods": METHODS,
    }
    encoded = {name: msgspec.json.encode(value).decode() for name, value in values.items()}
    return match[1], (_TEMPLATE % encoded).encode()
