/**
 * Makes the files of the web app: its styles, its scripts and its mark, bundled, smaller, and packed in gzip and
 * brotli. Called by `make_pages.py` with the directory to fill. Every page loads `app`; the other scripts are loaded
 * by the pages that need them.
 */

import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { brotliCompressSync, gzipSync } from "node:zlib";
import { buildSync } from "esbuild";

const SCRIPTS = ["app", "charts", "debugger", "builder"];

const [target] = process.argv.slice(2);
const here = import.meta.dirname;

rmSync(target, { recursive: true, force: true });
mkdirSync(target, { recursive: true });

write("app.css", bundled("styles/app.css"));
for (const name of SCRIPTS) write(`${name}.js`, bundled(`scripts/${name}.js`));
write("mark.svg", readFileSync(join(here, "mark.svg"), "utf8"));

function bundled(name) {
  const built = buildSync({
    entryPoints: [join(here, name)],
    bundle: true,
    minify: true,
    write: false,
    format: "iife",
    target: "es2022",
    legalComments: "none",
  });
  return built.outputFiles[0].text;
}

function write(name, text) {
  const body = Buffer.from(text);
  writeFileSync(join(target, name), body);
  writeFileSync(join(target, `${name}.gz`), gzipSync(body, { level: 9 }));
  writeFileSync(join(target, `${name}.br`), brotliCompressSync(body));
}
