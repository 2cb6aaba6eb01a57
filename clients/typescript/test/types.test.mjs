// The committed types are those of the gateway's document (which a test of the Python suite holds to the code).
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";

test("src/gateway.ts is generated from openapi.json: run `npm run types`", () => {
  const out = join(mkdtempSync(join(tmpdir(), "types-")), "gateway.ts");
  const { scripts } = JSON.parse(readFileSync("package.json", "utf8"));
  const [, ...words] = scripts.types.split(" ");
  const given = words.map((word) => (word === "src/gateway.ts" ? out : word));
  execFileSync(process.execPath, ["node_modules/openapi-typescript/bin/cli.js", ...given]);
  assert.equal(readFileSync("src/gateway.ts", "utf8"), readFileSync(out, "utf8"));
});
