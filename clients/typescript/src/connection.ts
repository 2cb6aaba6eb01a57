/** What turns and captures are sent over. */
import createClient, { type Client } from "openapi-fetch";
import { answerOf } from "./answer.js";
import { Delivery } from "./delivery.js";
import type { paths } from "./gateway.js";
import { MOST_BYTES, defaultFolder } from "./spool.js";

export interface Settings {
  /** The gateway's address; without one `ENDOCRINE_URL`, else `http://127.0.0.1:8080`. */
  url?: string;
  /** An API key with the scope capture; without one `ENDOCRINE_API_KEY`. */
  key?: string;
  /** Folder that captures wait in; without one, of this gateway and key below `$XDG_STATE_HOME/endocrine`; null: memory. */
  spool?: string | null;
  spoolBytes?: number;
  /** Milliseconds that opening a turn may take (3000), a decision (10000), sending what is left at the end (5000). */
  openMs?: number;
  decisionMs?: number;
  closeMs?: number;
  /** Called once for each new reason of a failure; without one `console.warn`. */
  warn?: (message: string) => void;
  /** For tests. */
  fetch?: (request: Request) => Promise<Response>;
}

export class Connection {
  readonly gateway: Client<paths>;
  readonly delivery: Delivery;
  readonly openMs: number;
  readonly decisionMs: number;
  readonly closeMs: number;

  constructor(settings: Settings) {
    const url = (settings.url ?? process.env["ENDOCRINE_URL"] ?? "http://127.0.0.1:8080").replace(/\/+$/, "");
    const key = settings.key ?? process.env["ENDOCRINE_API_KEY"];
    const headers: Record<string, string> = key ? { authorization: `Bearer ${key}` } : {};
    const fetch = settings.fetch ?? ((request: Request) => globalThis.fetch(request));
    // Not followed: an answer of another place is none of the gateway's.
    this.gateway = createClient<paths>({ baseUrl: url, headers, fetch, redirect: "manual" });
    this.openMs = settings.openMs ?? 3_000;
    this.decisionMs = settings.decisionMs ?? 10_000;
    this.closeMs = settings.closeMs ?? 5_000;
    const folder = settings.spool === undefined ? defaultFolder(url, key) : settings.spool;
    const warn = settings.warn ?? ((message: string) => console.warn(`@endocrine/client: ${message}`));
    this.delivery = new Delivery(folder, settings.spoolBytes ?? MOST_BYTES, (record, withinMs) =>
      answerOf(() =>
        fetch(
          new Request(url + record.path, {
            method: "POST",
            headers: { ...headers, "content-type": "application/json", "idempotency-key": record.key },
            body: record.content,
            redirect: "manual",
            signal: AbortSignal.timeout(withinMs),
          }),
        ),
      ), warn);
  }
}
