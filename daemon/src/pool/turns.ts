/**
 * Whose container is made next, and who gets it: owners share what the engine can do, so that whoever asks for little is not kept waiting by
 * whoever asks for much. Arithmetic only: callers make the containers and say what time it is.
 *
 * Start reading at `Turns.begin`.
 */

/** An owner who was served within that time is expected to come again. */
const LATELY_MS = 10_000;

/** Who has what: sandboxes that run something, and runs that wait for one. */
export class Shares {
  readonly #many: number;
  readonly #owners = new Map<string, { held: number; waiting: number; at: number }>();

  /** @param many who has or waits for more than so many has many: they can wait for a new one */
  constructor(many: number) {
    this.#many = many;
  }

  /** A run of the owner asks for a sandbox; from now on it waits. @param now milliseconds of a clock that does not go back */
  asked(owner: string, now: number): void {
    const share = this.#owners.get(owner) ?? { held: 0, waiting: 0, at: now };
    share.waiting++;
    share.at = now;
    this.#owners.set(owner, share);
  }

  /** It got one. */
  got(owner: string): void {
    const share = this.#share(owner);
    share.waiting--;
    share.held++;
  }

  /** It waits no longer, and got none. */
  gaveUp(owner: string): void {
    this.#share(owner).waiting--;
  }

  /** It has no more use for what it got. */
  gaveBack(owner: string): void {
    this.#share(owner).held--;
  }

  /** Sandboxes that run something of the owner. */
  heldBy(owner: string): number {
    return this.#owners.get(owner)?.held ?? 0;
  }

  /** Has more than their part, where there is anybody else. */
  hasMany(owner: string): boolean {
    const share = this.#owners.get(owner);
    return this.#owners.size > 1 && share !== undefined && share.held + share.waiting > this.#many;
  }

  /** Somebody has many, and somebody who has few came lately. */
  isContested(now: number): boolean {
    let many = false;
    let few = false;
    for (const [owner, { at }] of this.#owners) {
      if (this.hasMany(owner)) many = true;
      else if (now - at < LATELY_MS) few = true;
      if (many && few) return true;
    }
    return false;
  }

  #share(owner: string): { held: number; waiting: number } {
    const share = this.#owners.get(owner);
    if (!share) throw new Error(`The pool was never asked for anything by ${owner}.`);
    return share;
  }
}

/** Where runs wait for sandboxes that are all alike. */
export interface Line {
  /** In the order in which they came. */
  readonly waiters: readonly { readonly owner: string }[];
  /** Sandboxes that wait for runs. */
  readonly idle: { readonly length: number };
}

/** A creation that has begun. */
export interface Turn<L extends Line, T> {
  readonly line: L;
  readonly task: T;
  /** Whose run it was begun for; undefined where it is for whoever comes. Who gets it may be another. */
  readonly owner: string | undefined;
  /** It leaves a place for those who have few. */
  readonly givesWay: boolean;
}

interface LineState<T> {
  readonly tasks: T[];
  readonly begun: Turn<Line, T>[];
  /** The number of the turn that was its last. */
  lastTurn: number;
}

/** Creations wait here for their turn, as many as there should be are under way. */
export class Turns<L extends Line, T> {
  /** As many may be under way at the same time. */
  limit: number;
  readonly #shares: Shares;
  readonly #lines = new Map<L, LineState<T>>();
  readonly #whenIdle: (() => void)[] = [];
  #underWay = 0;
  #givingWay = 0;
  #turn = 0;

  constructor(shares: Shares, limit: number) {
    this.#shares = shares;
    this.limit = limit;
  }

  get underWay(): number {
    return this.#underWay;
  }

  /** One more container should be made for that line. */
  add(line: L, task: T): void {
    const state = this.#lines.get(line) ?? { tasks: [], begun: [], lastTurn: 0 };
    state.tasks.push(task);
    this.#lines.set(line, state);
  }

  /**
   * Begins the creation whose turn it is, if there may be one more. What runs wait for comes before what will wait; first comes the owner who has
   * the fewest, with those that are being made for them; among equals lines take turns, so that forty runs of one do not keep the only
   * one of another waiting. While somebody who has few may come, one place is kept from all others.
   */
  begin(now: number): Turn<L, T> | undefined {
    if (this.#underWay >= this.limit) return;
    const isPlaceKept = this.#givingWay >= Math.max(1, this.limit - 1) && this.#shares.isContested(now);
    let best: { line: L; state: LineState<T>; owner: string | undefined; ahead: number } | undefined;
    for (const [line, state] of this.#lines) {
      if (state.tasks.length === 0) continue;
      const owner = this.#poorest(line, state);
      if (isPlaceKept && this.#givesWay(owner)) continue;
      const ahead = owner === undefined ? line.idle.length + state.begun.length : this.#partOf(owner);
      if (!best || goesBefore({ owner, ahead, state }, best)) best = { line, state, owner, ahead };
    }
    if (!best) return;
    const { line, state, owner } = best;
    const turn = { line, task: state.tasks.shift() as T, owner, givesWay: this.#givesWay(owner) };
    state.begun.push(turn);
    state.lastTurn = ++this.#turn;
    this.#underWay++;
    if (turn.givesWay) this.#givingWay++;
    return turn;
  }

  /** The creation has ended, or came to nothing. */
  end(turn: Turn<L, T>): void {
    const state = this.#lines.get(turn.line) as LineState<T>;
    state.begun.splice(state.begun.indexOf(turn), 1);
    if (state.begun.length + state.tasks.length === 0) this.#lines.delete(turn.line);
    this.#underWay--;
    if (turn.givesWay) this.#givingWay--;
    if (this.#isIdle) for (const resolve of this.#whenIdle.splice(0)) resolve();
  }

  /** Resolves when nothing is under way and nothing waits for its turn. */
  async idle(): Promise<void> {
    if (!this.#isIdle) await new Promise<void>((resolve) => this.#whenIdle.push(resolve));
  }

  get #isIdle(): boolean {
    if (this.#underWay > 0) return false;
    for (const { tasks } of this.#lines.values()) if (tasks.length > 0) return false;
    return true;
  }

  #givesWay(owner: string | undefined): boolean {
    return owner === undefined || this.#shares.hasMany(owner);
  }

  /** What the owner has, and what is being made for them. */
  #partOf(owner: string): number {
    let part = this.#shares.heldBy(owner);
    for (const { begun } of this.#lines.values()) for (const turn of begun) if (turn.owner === owner) part++;
    return part;
  }

  /** Of those who wait in the line and for whom none is being made there, the owner who has the smallest part; among equals, the first. */
  #poorest(line: L, { begun }: LineState<T>): string | undefined {
    const served = begun.flatMap(({ owner }) => owner ?? []);
    let poorest: string | undefined;
    for (const { owner } of line.waiters) {
      const at = served.indexOf(owner);
      if (at !== -1) served.splice(at, 1);
      else if (poorest === undefined || this.#partOf(owner) < this.#partOf(poorest)) poorest = owner;
    }
    return poorest;
  }
}

interface Claim {
  owner: string | undefined;
  ahead: number;
  state: { lastTurn: number };
}

function goesBefore(one: Claim, other: Claim): boolean {
  const isForRun = one.owner !== undefined;
  if (isForRun !== (other.owner !== undefined)) return isForRun;
  if (one.ahead !== other.ahead) return one.ahead < other.ahead;
  return one.state.lastTurn < other.state.lastTurn;
}
