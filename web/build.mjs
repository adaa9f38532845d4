/**
 * Makes what pages load: analytics.js from the installed npm package, the Heap integration from
 * `heap/`, each as it is, in gzip and in brotli. Called by `make_pages.py` with the directory to fill.
 */

import { createHash } from "node:crypto";
import { copyFileSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { brotliCompressSync, gzipSync } from "node:zlib";
import { build } from "esbuild";

import { assertNoOtherHost, NEUTRAL_PATHS, REPLACEMENTS, replaced, withoutMap } from "./hosts.mjs";

const [target] = process.argv.slice(2);
const here = import.meta.dirname;
const library = join(here, "node_modules/@segment/analytics-next");
const { version } = JSON.parse(readFileSync(join(library, "package.json"), "utf8"));

const banner =
  `/*! analytics.js ${version}, Copyright 2021 Segment, MIT License; ` +
  "Headgate replaced the names of Segment's hosts. License: /analytics-next/bundles/LICENSE.md */\n";

const chunks = join(target, "bundles");
rmSync(chunks, { recursive: true, force: true });
mkdirSync(chunks, { recursive: true });

const standalone = withoutMap(replaced(read("standalone.js"), REPLACEMENTS));
write("analytics.js", banner + standalone);
write("analytics.neutral.js", banner + replaced(standalone, NEUTRAL_PATHS));

const chunkNames = readdirSync(join(library, "dist/umd")).filter((name) =>
  /^[\w-]+\.bundle\.[0-9a-f]+\.js$/.test(name),
);
for (const name of chunkNames) write(`bundles/${name}`, withoutMap(read(name)));
assertNoOtherHost([standalone, ...chunkNames.map(read)]);
copyFileSync(join(library, "LICENSE.MD"), join(chunks, "LICENSE.md"));

const heap = await heapIntegration();
write("heap.js", heap);
const heapVersion = createHash("sha256").update(heap).digest("hex").slice(0, 16);
writeFileSync(join(target, "versions.json"), JSON.stringify({ analytics: version, heap: heapVersion }));

function read(name) {
  return readFileSync(join(library, "dist/umd", name), "utf8");
}

function write(name, text) {
  const body = Buffer.from(text);
  writeFileSync(join(target, name), body);
  writeFileSync(join(target, `${name}.gz`), gzipSync(body, { level: 9 }));
  writeFileSync(join(target, `${name}.br`), brotliCompressSync(body));
}

async function heapIntegration() {
  const { outputFiles } = await build({
    entryPoints: [join(here, "heap/index.ts")],
    bundle: true,
    minify: true,
    format: "iife",
    target: "es2020",
    legalComments: "none",
    write: false,
  });
  return outputFiles[0].text;
}
