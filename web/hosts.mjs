/**
 * What of analytics.js is changed: the constants that name Segment's hosts, and nothing else but a last
 * line that points to a source map, which is not served.
 *
 * In a page that says where Headgate is (as every snippet does) none of them is ever used; in one that
 * does not, they lead to a name that never resolves (RFC 2606) instead of to Segment. One address of
 * somebody else's stays: of the polyfill that browsers from before 2018 get from cdnjs.cloudflare.com.
 */

export const NOWHERE = "headgate.invalid";

/** In `standalone.js`: what stands there, what it becomes, how often. Longer texts first. */
export const REPLACEMENTS = [
  ['"https://cdn.segment.com/analytics-next/bundles/"', `"https://${NOWHERE}/analytics-next/bundles/"`, 1],
  ['"https://cdn.segment.com/analytics.js/v1/"', `"https://${NOWHERE}/analytics.js/v1/"`, 1],
  ['"https://cdn.segment.com"', `"https://${NOWHERE}"`, 1],
  ['"api.segment.io/v1"', `"${NOWHERE}/v1"`, 1],
];

/** What of Segment's hosts stays, in all files: two patterns that recognise addresses, a link in a warning. */
export const KEPT = [
  ['"https://cdn.segment.(com|build)"', 1],
  ['includes("cdn.segment")', 1],
  ['"https://segment.com/docs/', 1],
];

/**
 * The same library under paths that say nothing of analytics, for a site that serves it from its own
 * domain. After the replacements above.
 */
export const NEUTRAL_PATHS = [
  ['"/v1/projects/"', '"/a/"', 1],
  ['"/settings"', '"/s"', 1],
  ['?ve+"/analytics-next/bundles/"', '?ve+"/a/c/"', 1],
  ['"/next-integrations"', '"/a/n"', 1],
];

/** The text without the comment that names its source map. */
export function withoutMap(text) {
  return text.replace(/\n\/\/# sourceMappingURL=\S+\s*$/, "");
}

/** The text with every replacement made exactly as often as its row says. */
export function replaced(text, rows) {
  for (const [from, to, times] of rows) {
    const found = text.split(from).length - 1;
    if (found !== times) throw new Error(`${from}: found ${found} times, expected ${times}`);
    text = text.replaceAll(from, to);
  }
  return text;
}

/** Throws when a host of Segment's is left that is not in `KEPT`. */
export function assertNoOtherHost(texts) {
  let all = texts.join("\n");
  for (const [kept, times] of KEPT) all = replaced(all, [[kept, "", times]]);
  const left = all.match(/.{0,40}(segment\.(com|io|build)|cdn\.segment|segmentapis).{0,40}/g);
  if (left) throw new Error(`Segment's hosts are still named: ${left.join(" | ")}`);
}
