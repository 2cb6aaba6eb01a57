/** Govern the model and tool calls of an application by an Endocrine gateway. */
import { Connection, type Settings } from "./connection.js";
import { type Counts, kept } from "./delivery.js";
import type { components } from "./gateway.js";
import { Operations } from "./operations.js";
import { type Opening, Turn } from "./turn.js";

export type { Decision, Modulation } from "./answer.js";
export type { ToolCall } from "./calls.js";
export { Denied, NotAllowed, NotDecided, Pending, Refused } from "./errors.js";
export type { BondQuery, Operations, Unavailable } from "./operations.js";
export { type FunctionTool, Parameters, openaiTools } from "./parameters.js";
export type { components, paths } from "./gateway.js";
export type { Counts, Opening, Settings, Turn };

type Signal = components["schemas"]["SignalRequest"];

/** A client of a gateway. Captures (`rate`, `signal`, the end of a turn) never throw: they are kept on disk, and sent from
 * there. They return false where even that failed, which is counted and warned of. */
export class Endocrine {
  private readonly connection: Connection;
  /** What operators read and write: bonds and trusted state. */
  readonly operate: Operations;

  constructor(settings: Settings = {}) {
    this.connection = new Connection(settings);
    this.operate = new Operations(this.connection);
  }

  /** What became of captures, in this process. */
  get counts(): Readonly<Counts> {
    return this.connection.delivery.counts;
  }

  /** Open a turn, run `work` in it, close it with `turn.answer`'s text, or as abandoned. Rejects with Denied where the
   * turn is refused, Pending where a person must agree first: `work` is not run then. */
  async turn<T>(opening: Opening, work: (turn: Turn) => Promise<T> | T): Promise<T> {
    const turn = new Turn(this.connection, opening);
    await turn.open();
    try {
      return await work(turn);
    } finally {
      turn.close();
    }
  }

  /** Record a person's verdict, 1 (bad) to 5 (good). Never throws. */
  rate(
    turn: { auditId: string; identity: string },
    rating: number,
    given: { note?: string; tags?: string[] } = {},
  ): boolean {
    return this.connection.delivery.capture("/v1/feedback", () => {
      const { identity, auditId } = turn;
      const value: components["schemas"]["FeedbackRequest"] = {
        identity, target_action_id: auditId, rating, ts: Date.now() / 1000, ...given,
      };
      return kept("/v1/feedback", identity, value);
    });
  }

  /** Record a signal, 0 to 1. Never throws. */
  signal(
    identity: string,
    name: Signal["name"],
    level: number,
    given: { ttl_ms?: number; source?: string; audit_id?: string } = {},
  ): boolean {
    return this.connection.delivery.capture("/v1/signals", () => {
      const value = { identity, name, level, ts: Date.now() / 1000, ...given };
      return kept("/v1/signals", identity, value);
    });
  }

  /** Send what is kept. True: the gateway has all of it. Never throws. */
  flush(withinMs = 10_000): Promise<boolean> {
    return this.connection.delivery.deliver(withinMs);
  }

  /** Send what can be sent, and end; the rest stays on disk. */
  close(): Promise<void> {
    return this.connection.delivery.close(this.connection.closeMs);
  }
}
