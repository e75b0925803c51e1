/** One finding of `coderunner doctor`. */
export interface Check {
  /** Stable, for programs. */
  id: string;
  title: string;
  /** `warn`: it works, but not as well as it could. `skip`: cannot be told, because of another check. */
  state: 'ok' | 'warn' | 'fail' | 'skip';
  found: string;
  /** What it means for the person; empty where all is well. */
  meaning: string;
  /** What to do about it; empty where all is well. */
  remedy: string;
}

/** What a check finds; who asks for it gives it its name. */
export type Finding = Pick<Check, 'state' | 'found'> & Partial<Check>;
