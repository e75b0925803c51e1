/**
 * Whose container is made next, and who gets it: owners share what the engine can do, so that whoever asks for little is not kept waiting by
 * whoever asks for much. Arithmetic only: callers make the containers and say what time it is.
 *
 * Start reading at `Turns.begin`.
 */

/** An owner who was served within that time is expected to come again. */
const LATELY_MS = 10_000;

const NOTHING: ReadonlyMap<string, number> = new Map();

interface Share {
  /** Sandboxes that run something of theirs. */
  held: number;
  /** Those that are being made for them. */
  making: number;
  /** Runs that wait. */
  waiting: number;
  /** When they asked last. */
  at: number;
  /** Larger than that of whoever was served before them. */
  served: number;
}

/** Who has what: sandboxes that run something or are being made, and runs that wait for one. */
export class Shares {
  readonly #many: number;
  readonly #owners = new Map<string, Share>();
  #served = 0;

  /** @param many who has or waits for more than so many has many: they can wait for a new one */
  constructor(many: number) {
    this.#many = many;
  }

  /** A run of the owner asks for a sandbox; from now on it waits. @param now milliseconds of a clock that does not go back */
  asked(owner: string, now: number): void {
    const share = this.#owners.get(owner) ?? { held: 0, making: 0, waiting: 0, at: now, served: this.#served };
    share.waiting++;
    share.at = now;
    this.#owners.set(owner, share);
  }

  /** It got one. */
  got(owner: string): void {
    const share = this.#share(owner);
    share.waiting--;
    share.held++;
    share.served = ++this.#served;
  }

  /** It waits no longer, and got none. */
  gaveUp(owner: string): void {
    this.#share(owner).waiting--;
  }

  /** It has no more use for what it got. */
  gaveBack(owner: string): void {
    this.#share(owner).held--;
  }

  /** One is being made for the owner. */
  begun(owner: string): void {
    const share = this.#share(owner);
    share.making++;
    share.served = ++this.#served;
  }

  /** It is made, or came to nothing. */
  ended(owner: string): void {
    this.#share(owner).making--;
  }

  /**
   * The owner who comes first has the smaller part; among equals, the one who was served longest ago. Sorts as `sort` wants it.
   * @param more what owners will have beside that
   */
  compare(one: string, other: string, more = NOTHING): number {
    const [a, b] = [this.#share(one), this.#share(other)];
    const given = (more.get(one) ?? 0) - (more.get(other) ?? 0);
    return a.held + a.making - b.held - b.making + given || a.served - b.served;
  }

  /** Of those who wait, the one whose owner comes first; of one owner's, the one that came first. */
  first<W extends Waiting>(waiters: readonly W[], more = NOTHING): W | undefined {
    return waiters.reduce<W | undefined>(
      (first, waiter) => (first && this.compare(first.owner, waiter.owner, more) <= 0 ? first : waiter),
      undefined,
    );
  }

  /** Those who wait in their turn: {@link Shares.first} comes first. */
  sorted<W extends Waiting>(waiters: readonly W[]): W[] {
    return waiters.toSorted((one, other) => this.compare(one.owner, other.owner));
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

  #share(owner: string): Share {
    const share = this.#owners.get(owner);
    if (!share) throw new Error(`The pool was never asked for anything by ${owner}.`);
    return share;
  }
}

/** A run that waits for a sandbox. */
export interface Waiting {
  readonly owner: string;
}

/** Where runs wait for sandboxes that are all alike. */
export interface Line {
  /** In the order in which they came. */
  readonly waiters: readonly Waiting[];
  /** Sandboxes that wait for runs. */
  readonly idle: { readonly length: number };
}

/** A creation that has begun. */
export interface Turn<L extends Line, T> {
  readonly line: L;
  readonly task: T;
  /** Whose run it was begun for, who gets it if they still wait; undefined where it is for whoever comes. */
  readonly owner: string | undefined;
  /** It leaves a place for those who have few. */
  readonly givesWay: boolean;
}

interface LineState<L extends Line, T> {
  readonly tasks: T[];
  readonly begun: Turn<L, T>[];
  /** The number of the turn that was its last. */
  lastTurn: number;
}

/** Creations wait here for their turn, as many as there should be are under way. */
export class Turns<L extends Line, T> {
  /** As many may be under way at the same time. */
  limit: number;
  readonly #shares: Shares;
  readonly #lines = new Map<L, LineState<L, T>>();
  /** Called when the next one ends. */
  readonly #onEnd: (() => void)[] = [];
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
   * Begins the creation whose turn it is, if there may be one more. What runs wait for comes before what will wait. Among runs, the owner with
   * the smallest part comes first; the lines of one owner take turns, so that forty runs of one do not keep the only one of another waiting. While somebody who has few may come, one place is kept from all others.
   */
  begin(now: number): Turn<L, T> | undefined {
    if (this.#underWay >= this.limit) return;
    const isPlaceKept = this.#givingWay >= Math.max(1, this.limit - 1) && this.#shares.isContested(now);
    let best: Claim<L, T> | undefined;
    for (const [line, state] of this.#lines) {
      if (state.tasks.length === 0) continue;
      const claim = { line, state, owner: this.#unserved(line, state) };
      if (isPlaceKept && this.#givesWay(claim.owner)) continue;
      if (!best || this.#compare(claim, best) < 0) best = claim;
    }
    if (!best) return;
    const { line, state, owner } = best;
    const turn = { line, task: state.tasks.shift() as T, owner, givesWay: this.#givesWay(owner) };
    if (owner !== undefined) this.#shares.begun(owner);
    state.begun.push(turn);
    state.lastTurn = ++this.#turn;
    this.#underWay++;
    if (turn.givesWay) this.#givingWay++;
    return turn;
  }

  /** The creation has ended, or came to nothing. */
  end(turn: Turn<L, T>): void {
    const state = this.#lines.get(turn.line) as LineState<L, T>;
    state.begun.splice(state.begun.indexOf(turn), 1);
    if (state.begun.length + state.tasks.length === 0) this.#lines.delete(turn.line);
    if (turn.owner !== undefined) this.#shares.ended(turn.owner);
    this.#underWay--;
    if (turn.givesWay) this.#givingWay--;
    for (const resolve of this.#onEnd.splice(0)) resolve();
  }

  /** Resolves when nothing of that line, or of any, is under way or waits for its turn. */
  async idle(line?: L): Promise<void> {
    while (line ? this.#lines.has(line) : this.#lines.size > 0)
      await new Promise<void>((resolve) => this.#onEnd.push(resolve));
  }

  /** Resolves when all that are under way now have ended. */
  async presentOnesEnded(): Promise<void> {
    const present = [...this.#lines.values()].flatMap(({ begun }) => begun);
    while (present.some((turn) => this.#lines.get(turn.line)?.begun.includes(turn)))
      await new Promise<void>((resolve) => this.#onEnd.push(resolve));
  }

  #givesWay(owner: string | undefined): boolean {
    return owner === undefined || this.#shares.hasMany(owner);
  }

  /** Whose run in that line it would be for: one for which none is being made there yet. */
  #unserved(line: L, { begun }: LineState<L, T>): string | undefined {
    const served = begun.flatMap(({ owner }) => owner ?? []);
    const rest = line.waiters.filter(({ owner }) => {
      const at = served.indexOf(owner);
      if (at !== -1) served.splice(at, 1);
      return at === -1;
    });
    return this.#shares.first(rest)?.owner;
  }

  #compare(one: Claim<L, T>, other: Claim<L, T>): number {
    const turns = one.state.lastTurn - other.state.lastTurn;
    if (one.owner !== undefined && other.owner !== undefined)
      return this.#shares.compare(one.owner, other.owner) || turns;
    if (one.owner !== undefined) return -1;
    if (other.owner !== undefined) return 1;
    return thereWillBe(one) - thereWillBe(other) || turns;
  }
}

interface Claim<L extends Line, T> {
  line: L;
  state: LineState<L, T>;
  owner: string | undefined;
}

function thereWillBe({ line, state }: Claim<Line, unknown>): number {
  return line.idle.length + state.begun.length;
}
