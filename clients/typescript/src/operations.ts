/** What operators read and write: bonds and trusted state. Reads fail open, writes fail closed. */
import type { Connection } from "./connection.js";
import { Refused } from "./errors.js";

/** What a read gives where the gateway, or its read models, cannot be asked. */
export interface Unavailable {
  status: "unavailable";
  fail_open: true;
}
type Json = Record<string, unknown>;
interface Got {
  data?: unknown;
  error?: unknown;
  response: Response;
}
const READ_MS = 10_000;
/** Milliseconds that a write may take beside the wait for its event. */
const MARGIN_MS = 5_000;
const UNAVAILABLE: Unavailable = { status: "unavailable", fail_open: true };

function refused(status: number, problem: unknown): Refused {
  const said = (typeof problem === "object" && problem !== null ? problem : {}) as Json;
  const kind = typeof said["type"] === "string" ? said["type"].replace("/problems/", "") : "unavailable";
  const reason = typeof said["reason"] === "string" ? said["reason"] : kind;
  const detail = typeof said["detail"] === "string" ? `: ${said["detail"]}` : "";
  return new Refused(`${status} ${kind}${detail}`, reason, said["outcome"]);
}

async function read(ask: (signal: AbortSignal) => Promise<Got>): Promise<Json | Unavailable> {
  let got: Got;
  try {
    got = await ask(AbortSignal.timeout(READ_MS));
  } catch {
    return UNAVAILABLE;
  }
  const { status } = got.response;
  if (status === 200) return got.data as Json;
  if (status >= 500 || status === 408 || status === 429) return UNAVAILABLE;
  throw refused(status, got.error);
}

async function write(waitS: number, ask: (signal: AbortSignal) => Promise<Got>): Promise<Json> {
  let got: Got;
  try {
    got = await ask(AbortSignal.timeout(waitS * 1000 + MARGIN_MS));
  } catch {
    throw refused(0, null);
  }
  if (got.response.status === 200 || got.response.status === 202) return got.data as Json;
  throw refused(got.response.status, got.error);
}

export interface BondQuery {
  phase?: string;
  risk?: string;
  limit?: number;
  cursor?: string;
}

/** Operations of `Endocrine.operate`. Writes wait `waitS` seconds (5) for their event, which is `outcome`; null where none
 * came in time. They reject with Refused where they are refused, or nobody answers. */
export class Operations {
  constructor(private readonly connection: Connection) {}

  private key(): { "Idempotency-Key": string } {
    return { "Idempotency-Key": crypto.randomUUID() };
  }

  /** Bonds, the last updated first: `items`, `next`, `foreign_keys`. */
  bonds(query: BondQuery = {}): Promise<Json | Unavailable> {
    return read((signal) => this.connection.gateway.GET("/v1/bonds", { params: { query }, signal }));
  }

  bond(identity: string): Promise<Json | Unavailable> {
    return read((signal) =>
      this.connection.gateway.GET("/v1/bonds/{identity}", { params: { path: { identity } }, signal }),
    );
  }

  /** Whether a message would be within the cap: advice, which writes nothing. */
  bondCheck(identity: string, at?: number): Promise<Json | Unavailable> {
    const query = at === undefined ? {} : { at: String(at) };
    return read((signal) =>
      this.connection.gateway.GET("/v1/bonds/{identity}/check", { params: { path: { identity }, query }, signal }),
    );
  }

  /** Set the daily message cap; 0: unlimited. */
  setCap(identity: string, cap: number, waitS = 5): Promise<Json> {
    return write(waitS, (signal) =>
      this.connection.gateway.POST("/v1/commands/{kind}", {
        params: { path: { kind: "cap" }, query: { wait: waitS }, header: this.key() },
        body: { identity, cap },
        signal,
      }),
    );
  }

  /** What is stated about an identity, or `project:` and a project's id. */
  trustedState(subject: string, query: { category?: string; all?: "true" | "false" } = {}): Promise<Json | Unavailable> {
    return read((signal) =>
      this.connection.gateway.GET("/v1/trusted/{subject}", { params: { path: { subject }, query }, signal }),
    );
  }

  stateSet(
    subject: string,
    entry: { category: string; key: string; value: string; source?: string; confidence?: number },
    waitS = 5,
  ): Promise<Json> {
    return write(waitS, (signal) =>
      this.connection.gateway.POST("/v1/trusted/{subject}", {
        params: { path: { subject }, query: { wait: waitS }, header: this.key() },
        body: entry,
        signal,
      }),
    );
  }

  /** End an entry: it stays, superseded. Rejects with reason `absent` where nothing is active there. */
  stateInvalidate(subject: string, category: string, key: string, reason?: string, waitS = 5): Promise<Json> {
    const query = { category, key, wait: waitS, ...(reason === undefined ? {} : { reason }) };
    return write(waitS, (signal) =>
      this.connection.gateway.DELETE("/v1/trusted/{subject}", { params: { path: { subject }, query }, signal }),
    );
  }
}
