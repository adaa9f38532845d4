/**
 * Makes the files of the web app: its CSS, JS and mark, smaller, and packed in gzip and brotli. Called by
 * `make_pages.py` with the directory to fill.
 */

import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { brotliCompressSync, gzipSync } from "node:zlib";
import { transformSync } from "esbuild";

const [target] = process.argv.slice(2);
const here = import.meta.dirname;

rmSync(target, { recursive: true, force: true });
mkdirSync(target, { recursive: true });

write("app.css", minified("app.css", "css"));
write("app.js", minified("app.js", "js"));
write("mark.svg", readFileSync(join(here, "mark.svg"), "utf8"));

function minified(name, loader) {
  return transformSync(readFileSync(join(here, name), "utf8"), { loader, minify: true }).code;
}

function write(name, text) {
  const body = Buffer.from(text);
  writeFileSync(join(target, name), body);
  writeFileSync(join(target, `${name}.gz`), gzipSync(body, { level: 9 }));
  writeFileSync(join(target, `${name}.br`), brotliCompressSync(body));
}
