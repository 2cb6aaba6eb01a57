/** What must not run, thrown. Nothing else is thrown by a client; captures never throw. */

/** What an operator asked was refused, or could not be confirmed. */
export class Refused extends Error {
  override readonly name = "Refused";

  /** reason: a word; `unavailable` where nobody answered. outcome: the event that says it, where there is one. */
  constructor(
    message: string,
    readonly reason: string,
    readonly outcome: unknown = undefined,
  ) {
    super(message);
  }
}

/** A turn or a tool call must not run. */
export class NotAllowed extends Error {
  override readonly name: string = "NotAllowed";

  /** callId: null where the turn itself is meant. reason: a word of the vocabulary. */
  constructor(
    message: string,
    readonly auditId: string,
    readonly callId: string | null = null,
    readonly reason: string | null = null,
  ) {
    super(message);
  }
}

/** Decided: it must not run; `reason` says why. */
export class Denied extends NotAllowed {
  override readonly name = "Denied";
}

/** A person must agree first. */
export class Pending extends NotAllowed {
  override readonly name = "Pending";
  /** Seconds since 1970 until which they may; null: not known. */
  expires: number | null = null;
}

/** No decision in time, or none that can be read. The same call may be asked again. */
export class NotDecided extends NotAllowed {
  override readonly name = "NotDecided";
}
