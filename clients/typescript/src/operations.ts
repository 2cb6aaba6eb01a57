/** What operators read and write: bonds, trusted state, memories, conflicts, names, links, context packs. Reads fail open, writes fail closed. */
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

type MemoryType = "identity" | "preference" | "project" | "episodic" | "knowledge" | "adaptation";

export interface MemoryQuery {
  status?: "candidate" | "active" | "superseded" | "invalid";
  type?: MemoryType;
  limit?: number;
  cursor?: string;
}

export interface BondQuery {
  phase?: string;
  risk?: string;
  limit?: number;
  cursor?: string;
}

export interface ApprovalQuery {
  kind?: "call" | "turn";
  identity?: string;
  limit?: number;
  cursor?: string;
}

export interface InteractionQuery {
  identity?: string;
  project?: string;
  session_id?: string;
  client?: string;
  since?: string;
  limit?: number;
  cursor?: string;
}

/** What `approvals` lists: which call or turn, of whom. */
export type Waiting =
  | { kind: "call"; identity: string; call_id: string }
  | { kind: "turn"; identity: string; audit_id: string };

/** Operations of `Endocrine.operate`. Writes wait `waitS` seconds (5) for their event, which is `outcome`; null where none
 * came in time. They reject with Refused where they are refused, or nobody answers. */
export class Operations {
  constructor(private readonly connection: Connection) {}

  private key(): { "Idempotency-Key": string } {
    return { "Idempotency-Key": crypto.randomUUID() };
  }

  /** Tool calls and held turns that wait for a person, the next deadline first: `items`, `next`. */
  approvals(query: ApprovalQuery = {}): Promise<Json | Unavailable> {
    return read((signal) => this.connection.gateway.GET("/v1/approvals", { params: { query }, signal }));
  }

  /** Let a call or a held turn of `approvals` go on. */
  approve(waiting: Waiting, reason?: string, waitS = 5): Promise<Json> {
    return this.answered("approve", waiting, reason, waitS);
  }

  /** Refuse a call or a held turn of `approvals`. */
  deny(waiting: Waiting, reason?: string, waitS = 5): Promise<Json> {
    return this.answered("deny", waiting, reason, waitS);
  }

  private answered(answer: "approve" | "deny", waiting: Waiting, reason: string | undefined, waitS: number): Promise<Json> {
    const which = waiting.kind === "call" ? { call_id: waiting.call_id } : { audit_id: waiting.audit_id };
    const why = reason === undefined ? {} : { reason };
    return write(waitS, (signal) =>
      this.connection.gateway.POST("/v1/commands/{kind}", {
        params: {
          path: { kind: waiting.kind === "call" ? answer : `${answer}-turn` },
          query: { wait: waitS },
          header: this.key(),
        },
        body: { identity: waiting.identity, ...which, ...why },
        signal,
      }),
    );
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

  /** Events of a bond, newest first: `items`. */
  bondEvents(identity: string, limit?: number): Promise<Json | Unavailable> {
    const query = limit === undefined ? {} : { limit };
    return read((signal) =>
      this.connection.gateway.GET("/v1/bonds/{identity}/events", { params: { path: { identity }, query }, signal }),
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

  /** Add a note to a bond. */
  addNote(identity: string, text: string, waitS = 5): Promise<Json> {
    return write(waitS, (signal) =>
      this.connection.gateway.POST("/v1/commands/{kind}", {
        params: { path: { kind: "note" }, query: { wait: waitS }, header: this.key() },
        body: { identity, text },
        signal,
      }),
    );
  }

  /** Turns, newest first, without their text: `items`, `next`. */
  interactions(query: InteractionQuery = {}): Promise<Json | Unavailable> {
    return read((signal) => this.connection.gateway.GET("/v1/interactions", { params: { query }, signal }));
  }

  /** A turn; with the scope content also prompt and response. Rejects with reason `gone` past their retention. */
  interaction(auditId: string): Promise<Json | Unavailable> {
    return read((signal) =>
      this.connection.gateway.GET("/v1/interactions/{audit_id}", { params: { path: { audit_id: auditId } }, signal }),
    );
  }

  /** The audit bundle of a turn: parameters, why they were so, and what tools were decided. */
  audit(auditId: string): Promise<Json | Unavailable> {
    return read((signal) =>
      this.connection.gateway.GET("/v1/audits/{audit_id}", { params: { path: { audit_id: auditId } }, signal }),
    );
  }

  /** What the rules find in an answer: a preview, or with `persist` candidates of it. */
  extract(auditId: string, persist = false): Promise<Json> {
    return write(0, (signal) =>
      this.connection.gateway.POST("/v1/interactions/{audit_id}/extract", {
        params: { path: { audit_id: auditId }, header: this.key() },
        body: { persist },
        signal,
      }),
    );
  }

  /** Hold an answer against the memories of its subjects; each turn counts once. */
  reinforce(auditId: string): Promise<Json> {
    return write(0, (signal) =>
      this.connection.gateway.POST("/v1/interactions/{audit_id}/reinforce", {
        params: { path: { audit_id: auditId }, header: this.key() },
        body: {},
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

  /** Memories of an identity, or of `project:` and a project's id, the oldest first: `items`, `next`. */
  memories(subject: string, query: MemoryQuery = {}): Promise<Json | Unavailable> {
    return read((signal) =>
      this.connection.gateway.GET("/v1/memories", { params: { query: { subject, ...query } }, signal }),
    );
  }

  memory(subject: string, memoryId: string): Promise<Json | Unavailable> {
    return read((signal) =>
      this.connection.gateway.GET("/v1/memories/{memory_id}", {
        params: { path: { memory_id: memoryId }, query: { subject } },
        signal,
      }),
    );
  }

  memoryCreate(
    subject: string,
    memory: { content: string; type: MemoryType; slot?: string; status?: "active" | "candidate"; confidence?: number },
    waitS = 5,
  ): Promise<Json> {
    return write(waitS, (signal) =>
      this.connection.gateway.POST("/v1/memories", {
        params: { query: { wait: waitS }, header: this.key() },
        body: { subject, ...memory },
        signal,
      }),
    );
  }

  /** Make a candidate active. Rejects with reason `open_conflict` while another active value disagrees. */
  memoryPromote(subject: string, memoryId: string, reason?: string, waitS = 5): Promise<Json> {
    return write(waitS, (signal) =>
      this.connection.gateway.POST("/v1/memories/{memory_id}/promote", this.change(subject, memoryId, waitS, signal, reason)),
    );
  }

  /** Make a candidate invalid: it is not proposed again. */
  memoryReject(subject: string, memoryId: string, reason?: string, waitS = 5): Promise<Json> {
    return write(waitS, (signal) =>
      this.connection.gateway.POST("/v1/memories/{memory_id}/reject", this.change(subject, memoryId, waitS, signal, reason)),
    );
  }

  /** Take an active memory out of force, as another says it better. */
  memorySupersede(
    subject: string,
    memoryId: string,
    given: { superseded_by?: string; reason?: string } = {},
    waitS = 5,
  ): Promise<Json> {
    return write(waitS, (signal) =>
      this.connection.gateway.POST("/v1/memories/{memory_id}/supersede", {
        params: { path: { memory_id: memoryId }, query: { wait: waitS }, header: this.key() },
        body: { subject, ...given },
        signal,
      }),
    );
  }

  memoryInvalidate(subject: string, memoryId: string, reason?: string, waitS = 5): Promise<Json> {
    return write(waitS, (signal) =>
      this.connection.gateway.POST("/v1/memories/{memory_id}/invalidate", this.change(subject, memoryId, waitS, signal, reason)),
    );
  }

  /** Change a candidate or an active memory; with a version only where it has no later one (`older_version`). */
  memoryUpdate(
    subject: string,
    memoryId: string,
    given: { content?: string; confidence?: number; version?: number; reason?: string },
    waitS = 5,
  ): Promise<Json> {
    return write(waitS, (signal) =>
      this.connection.gateway.POST("/v1/memories/{memory_id}/update", {
        params: { path: { memory_id: memoryId }, query: { wait: waitS }, header: this.key() },
        body: { subject, ...given },
        signal,
      }),
    );
  }

  /** Say what the caller holds of a memory: opinions make its strength, never its status. */
  opinion(subject: string, memoryId: string, opinion: "for" | "against", confidence = 1, waitS = 5): Promise<Json> {
    return write(waitS, (signal) =>
      this.connection.gateway.POST("/v1/memories/{memory_id}/opinion", {
        params: { path: { memory_id: memoryId }, query: { wait: waitS }, header: this.key() },
        body: { subject, opinion, confidence },
        signal,
      }),
    );
  }

  private change(subject: string, memoryId: string, waitS: number, signal: AbortSignal, reason?: string) {
    return {
      params: { path: { memory_id: memoryId }, query: { wait: waitS }, header: this.key() },
      body: { subject, ...(reason === undefined ? {} : { reason }) },
      signal,
    };
  }

  /** The latest conflict of each slot of a subject: `items`. */
  conflicts(subject: string, status?: "open" | "resolved" | "dismissed"): Promise<Json | Unavailable> {
    const query = { subject, ...(status === undefined ? {} : { status }) };
    return read((signal) => this.connection.gateway.GET("/v1/conflicts", { params: { query }, signal }));
  }

  /** End an open conflict: `supersede_others` with a winner, `no_action` or `dismiss`. */
  conflictResolve(
    conflictId: string,
    decision: {
      subject: string;
      slot: string;
      action: "supersede_others" | "no_action" | "dismiss";
      winner?: string;
      reason?: string;
    },
    waitS = 5,
  ): Promise<Json> {
    return write(waitS, (signal) =>
      this.connection.gateway.POST("/v1/conflicts/{conflict_id}/resolve", {
        params: { path: { conflict_id: conflictId }, query: { wait: waitS }, header: this.key() },
        body: decision,
        signal,
      }),
    );
  }

  /** A context pack: `formatted_context` is for a turn's `context_pack`. auto: the project that the prompt names. */
  context(asked: {
    identity: string;
    prompt: string;
    project?: string;
    auto?: boolean;
    budget?: number;
    passages?: number;
  }): Promise<Json | Unavailable> {
    const body = { auto: false, ...asked };
    return read((signal) =>
      this.connection.gateway.POST("/v1/context", { params: { header: this.key() }, body, signal }),
    );
  }

  /** Registered ids and their aliases: `items`, `next`. */
  names(query: { scope?: "identity" | "project"; limit?: number; cursor?: string } = {}): Promise<Json | Unavailable> {
    return read((signal) => this.connection.gateway.GET("/v1/names", { params: { query }, signal }));
  }

  /** Register an id, or an alias of a registered one. Rejects with the reason: `taken`, `is_an_id`, `unknown`. */
  nameRegister(scope: "identity" | "project", registeredId: string, alias?: string, waitS = 5): Promise<Json> {
    return this.named({ kind: "register_name", scope, name: alias ?? registeredId, registered_id: registeredId }, waitS);
  }

  /** Release an alias; an id is never released. */
  nameRelease(scope: "identity" | "project", alias: string, waitS = 5): Promise<Json> {
    return this.named({ kind: "release_name", scope, name: alias }, waitS);
  }

  private named(
    body: { scope: "identity" | "project"; name: string } & (
      | { kind: "register_name"; registered_id: string }
      | { kind: "release_name" }
    ),
    waitS: number,
  ): Promise<Json> {
    return write(waitS, (signal) =>
      this.connection.gateway.POST("/v1/names", {
        params: { query: { wait: waitS }, header: this.key() },
        body,
        signal,
      }),
    );
  }

  /** Links of an identity to others, the highest score first: `items`. Advice; never a gate. */
  links(identity: string, status?: "observed" | "proposed" | "applied" | "dismissed"): Promise<Json | Unavailable> {
    const query = status === undefined ? {} : { status };
    return read((signal) =>
      this.connection.gateway.GET("/v1/identities/{identity}/links", { params: { path: { identity }, query }, signal }),
    );
  }

  /** The identities that applied links connect with one: `members`, `truncated`. */
  linkGroup(identity: string): Promise<Json | Unavailable> {
    return read((signal) =>
      this.connection.gateway.GET("/v1/identities/{identity}/group", { params: { path: { identity } }, signal }),
    );
  }

  /** Say that two identities are one actor's. Rejects with reason `below_threshold`, `unknown_link`. */
  linkApply(identity: string, other: string, reason?: string, waitS = 5): Promise<Json> {
    return write(waitS, (signal) =>
      this.connection.gateway.POST("/v1/identities/{identity}/links/apply", this.link(identity, other, waitS, signal, reason)),
    );
  }

  /** Take that back; the evidence is kept. */
  linkReverse(identity: string, other: string, reason?: string, waitS = 5): Promise<Json> {
    return write(waitS, (signal) =>
      this.connection.gateway.POST("/v1/identities/{identity}/links/reverse", this.link(identity, other, waitS, signal, reason)),
    );
  }

  /** Say that they are not one actor's: not proposed again without a new kind of evidence. */
  linkDismiss(identity: string, other: string, reason?: string, waitS = 5): Promise<Json> {
    return write(waitS, (signal) =>
      this.connection.gateway.POST("/v1/identities/{identity}/links/dismiss", this.link(identity, other, waitS, signal, reason)),
    );
  }

  private link(identity: string, other: string, waitS: number, signal: AbortSignal, reason?: string) {
    return {
      params: { path: { identity }, query: { wait: waitS }, header: this.key() },
      body: { other, ...(reason === undefined ? {} : { reason }) },
      signal,
    };
  }
}
