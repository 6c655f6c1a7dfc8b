// Builds static/dist: one minified style sheet, htmx, the scripts and the images. No bundler, nothing fetched.
import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

const here = dirname(fileURLToPath(import.meta.url));
const root = dirname(here);
const source = join(here, "src");
const target = join(here, "dist");
const require = createRequire(import.meta.url);

rmSync(target, { recursive: true, force: true });
mkdirSync(target, { recursive: true });

const manifest = require.resolve("@tailwindcss/cli/package.json");
const cli = join(dirname(manifest), Object.values(require(manifest).bin)[0]);
execFileSync(process.execPath, [cli, "-i", join(source, "app.css"), "-o", join(target, "app.css"), "--minify"], {
  cwd: root,
  stdio: ["ignore", "ignore", "inherit"],
});

// The source map is not shipped, so the line that names it would be a dead link for the manifest storage.
const htmx = readFileSync(join(root, "node_modules/htmx.org/dist/htmx.min.js"), "utf8");
writeFileSync(join(target, "htmx.js"), htmx.replace(/\n?\/\/# sourceMappingURL=.*\s*$/, "\n"));

for (const name of readdirSync(source)) {
  if (/\.(js|svg|png)$/.test(name)) cpSync(join(source, name), join(target, name));
}

for (const name of readdirSync(target).sort()) {
  const bytes = readFileSync(join(target, name));
  const kb = (count) => (count / 1000).toFixed(1).padStart(7);
  console.log(`${name.padEnd(14)}${kb(bytes.length)} kB ${kb(gzipSync(bytes).length)} kB gzip`);
}
