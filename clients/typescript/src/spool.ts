/** Records that the gateway does not have yet: in order, on disk, bounded. One file a record, so that a process that dies
 * leaves the rest whole. */
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, readdirSync, renameSync, statSync, unlinkSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";

export const MOST_BYTES = 64 * 1024 * 1024;
const NAME = /^[0-9]{15}-[0-9]{9}-([0-9a-f]{12})-[0-9a-f-]+\.json$/;

/** One POST. key: its `Idempotency-Key`; sent again under it, it is the same record. */
export interface Kept {
  readonly path: string;
  readonly identity: string;
  readonly content: string;
  readonly key: string;
}

interface Entry {
  readonly name: string;
  readonly size: number;
  readonly who: string;
  readonly record: Kept | null;
}

/** `$XDG_STATE_HOME/endocrine/spool-DIGEST`: one for each gateway and key. */
export function defaultFolder(url: string, key: string | undefined): string {
  const state = process.env["XDG_STATE_HOME"] || join(homedir(), ".local", "state");
  return join(state, "endocrine", `spool-${digest(`${url}\0${key ?? ""}`)}`);
}

/** A queue of records. folder: null keeps them in memory, lost with the process. */
export class Spool {
  private entries: Entry[] = [];
  private count = 0;
  /** Bytes of its records. */
  bytes = 0;

  /** Throws where the folder cannot be made or read. */
  constructor(
    private readonly folder: string | null,
    private readonly mostBytes: number = MOST_BYTES,
  ) {
    if (folder === null) return;
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    for (const name of readdirSync(folder).sort()) {
      const who = NAME.exec(name)?.[1];
      if (who !== undefined) this.add({ name, size: statSync(join(folder, name)).size, who, record: null });
    }
  }

  /** Add a record at the end; the oldest go where there is no room. Returns how many went. Throws: it is not kept. */
  append(record: Kept): number {
    const text = JSON.stringify(record);
    const size = Buffer.byteLength(text);
    if (size > this.mostBytes) throw new RangeError(`a record of ${size} bytes; expected at most ${this.mostBytes}`);
    let went = 0;
    while (this.bytes + size > this.mostBytes) {
      this.remove(this.entries[0]!.name);
      went += 1;
    }
    const who = digest(record.identity);
    const name = `${pad(Date.now(), 15)}-${pad(this.count, 9)}-${who}-${record.key}.json`;
    this.count += 1;
    if (this.folder !== null) {
      // What people and models said is in it: for its owner alone. Renamed once it is whole.
      writeFileSync(join(this.folder, `${name}.part`), text, { mode: 0o600 });
      renameSync(join(this.folder, `${name}.part`), join(this.folder, name));
    }
    this.add({ name, size, who, record: this.folder === null ? record : null });
    return went;
  }

  /** The oldest record, of one identity or of all, with its name. */
  first(identity?: string): [string, Kept] | undefined {
    const who = identity === undefined ? undefined : digest(identity);
    for (;;) {
      const entry = who === undefined ? this.entries[0] : this.entries.find((one) => one.who === who);
      if (entry === undefined) return undefined;
      const record = entry.record ?? this.read(entry.name);
      if (record !== null) return [entry.name, record];
      this.remove(entry.name); // another process delivered it, or it is damaged
    }
  }

  /** Take a record out; one that is gone does no harm. */
  remove(name: string): void {
    const index = this.entries.findIndex((entry) => entry.name === name);
    if (index < 0) return;
    this.bytes -= this.entries[index]!.size;
    this.entries.splice(index, 1);
    if (this.folder === null) return;
    try {
      unlinkSync(join(this.folder, name));
    } catch {
      // it is gone
    }
  }

  get length(): number {
    return this.entries.length;
  }

  private add(entry: Entry): void {
    this.entries.push(entry);
    this.bytes += entry.size;
  }

  private read(name: string): Kept | null {
    try {
      const found = JSON.parse(readFileSync(join(this.folder!, name), "utf8")) as Kept;
      return typeof found.path === "string" && typeof found.content === "string" ? found : null;
    } catch {
      return null;
    }
  }
}

function digest(text: string): string {
  return createHash("sha256").update(text).digest("hex").slice(0, 12);
}

function pad(value: number, digits: number): string {
  return String(value).padStart(digits, "0");
}
