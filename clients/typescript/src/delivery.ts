/** Captures: kept in the spool at once, sent in order, again and again until the gateway has them. */
import { randomUUID } from "node:crypto";
import { type Answer, fateOf, shown } from "./answer.js";
import { type Kept, Spool } from "./spool.js";

const SEND_MS = 10_000;
const FIRST_PAUSE_MS = 250;
const LONGEST_PAUSE_MS = 30_000;
export type Send = (record: Kept, withinMs: number) => Promise<Answer>;

/** What became of captures, in this process. */
export interface Counts {
  captured: number;
  delivered: number;
  /** The gateway will not take them. */
  refused: number;
  /** The spool was full, and they were the oldest. */
  evicted: number;
  /** They could not be written as JSON, or not into the spool. */
  lost: number;
  /** Sendings that failed; their records stay. */
  failures: number;
}

/** A record to be kept. Throws: it cannot be written as JSON. */
export function kept(path: string, identity: string, value: object): Kept {
  return { path, identity: String(identity), content: JSON.stringify(value), key: randomUUID() };
}

/** The spool, and what empties it. One sending at a time, so records of one identity arrive in their order. */
export class Delivery {
  readonly counts: Counts = { captured: 0, delivered: 0, refused: 0, evicted: 0, lost: 0, failures: 0 };
  readonly spool: Spool;
  private tail: Promise<unknown> = Promise.resolve();
  private timer: NodeJS.Timeout | undefined;
  private pauseMs = FIRST_PAUSE_MS;
  private failing = false;
  private closed = false;
  private readonly warned = new Set<string>();

  constructor(
    folder: string | null,
    mostBytes: number,
    private readonly send: Send,
    private readonly warn: (message: string) => void,
  ) {
    try {
      this.spool = new Spool(folder, mostBytes);
    } catch (error) {
      this.tell(`the spool cannot be used (${nameOf(error)}); records are kept in memory`);
      this.spool = new Spool(null, mostBytes);
    }
    if (this.spool.length > 0) this.wake(0);
  }

  /** Keep the record that `make` makes. Never throws; false: it is lost. */
  capture(what: string, make: () => Kept): boolean {
    try {
      const evicted = this.spool.append(make());
      this.counts.captured += 1;
      if (evicted > 0) {
        this.counts.evicted += evicted;
        this.tell("the spool is full: its oldest records went");
      }
      this.wake(this.failing ? this.pauseMs : 0);
      return true;
    } catch (error) {
      this.counts.lost += 1;
      this.tell(`${what}: not kept: ${nameOf(error)}`);
      return false;
    }
  }

  /** Send what is there, of one identity or all, in order. True: nothing is left. Never throws. */
  async deliver(withinMs: number, identity?: string): Promise<boolean> {
    const until = Date.now() + withinMs;
    while (this.spool.first(identity) !== undefined) {
      const left = until - Date.now();
      // While the gateway is away one caller tries; the others do not queue up behind its timeout.
      if (left <= 0 || (this.failing && this.busy > 0 && identity !== undefined)) return false;
      if (!(await this.next(left, identity))) return false;
    }
    return true;
  }

  /** Send what can be sent within this time, and end; the rest stays in the spool. */
  async close(withinMs: number): Promise<void> {
    await this.deliver(withinMs);
    this.closed = true;
    clearTimeout(this.timer);
  }

  /** Count and log a record that the gateway does not take. */
  refused(path: string, answer: Answer): void {
    this.counts.refused += 1;
    this.tell(`${path}: refused: ${shown(answer)}`);
  }

  private busy = 0;

  /** Send the oldest record, after whoever sends now. False: it stays. */
  private next(withinMs: number, identity?: string): Promise<boolean> {
    const until = Date.now() + withinMs;
    this.busy += 1;
    const sent = this.tail.then(async () => {
      const left = until - Date.now();
      const found = this.spool.first(identity);
      if (found === undefined) return true;
      if (left <= 0) return false;
      const [name, record] = found;
      const answer = await this.send(record, Math.min(SEND_MS, left));
      const fate = fateOf(answer);
      this.failing = fate === "retry";
      if (fate === "retry") {
        this.counts.failures += 1;
        this.tell(`${record.path}: ${shown(answer)}; it stays in the spool`);
        return false;
      }
      if (fate === "refused") this.refused(record.path, answer);
      else this.counts.delivered += 1;
      this.spool.remove(name);
      return true;
    });
    this.tail = sent.catch(() => false).finally(() => (this.busy -= 1));
    return sent.catch(() => false);
  }

  private wake(afterMs: number): void {
    if (this.closed || this.timer !== undefined) return;
    this.timer = setTimeout(() => void this.run(), afterMs);
    this.timer.unref(); // a program that is done may end: the spool keeps what is left
  }

  private async run(): Promise<void> {
    const emptied = await this.deliver(SEND_MS);
    this.timer = undefined;
    this.pauseMs = emptied ? FIRST_PAUSE_MS : Math.min(2 * this.pauseMs, LONGEST_PAUSE_MS);
    if (!emptied) this.wake(this.pauseMs);
    else if (this.spool.length > 0) this.wake(0);
  }

  /** Each reason once: an outage would fill the application's log. */
  private tell(message: string): void {
    if (this.warned.has(message) || this.warned.size >= 100) return;
    this.warned.add(message);
    this.warn(message);
  }
}

function nameOf(error: unknown): string {
  return error instanceof Error ? error.name : "error";
}
